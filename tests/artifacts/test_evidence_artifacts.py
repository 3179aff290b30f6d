"""The figure of evidence maps and the table of localisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from artifact_samples import command_of, outputs_of
from error_samples import make_errors, save_errors, save_evidence
from meddiff.cli import main
from meddiff.localising.run import COLUMNS

IDS = [f"image{i}" for i in range(6)]
LABELS = np.arange(6) % 2
LAYOUT: dict[str, Any] = {
    "datasets": [{"name": "chest", "title": "Chest"}],
    "models": [{"name": "unet", "title": "UNet", "family": "diffusion"}],
    "runs": [{"dataset": "chest", "model": "unet", "seed": 0, "votes": 0}],
}
FIGURE = {**LAYOUT, "classes": {"chest": ["no finding", "effusion"]}, "images_per_class": 1, "style": {}}


@pytest.fixture
def scored(tmp_path: Path) -> tuple[xr.Dataset, xr.Dataset]:
    """Errors of six images, and maps that sum to their differences."""
    generator = np.random.default_rng(0)
    errors = generator.uniform(50, 60, size=(6, 8, 2)).astype(np.float32)
    logsnr = generator.normal(-3, 4, size=(6, 8)).astype(np.float32)
    dataset = make_errors(errors, logsnr, IDS, LABELS, IDS, ["no finding", "effusion"], {"seed": 0})
    maps = generator.normal(size=(6, 1, 8, 8))
    difference = np.diff(errors.astype(float).mean(axis=1), axis=1)
    maps += ((difference - maps.sum(axis=(2, 3))) / 64)[..., None, None]
    evidence = dataset.drop_vars(["errors", "logsnr"]).assign(
        evidence=(("image", "other", "y", "x"), maps.astype(np.float32)), steps_used=("image", np.full(6, 8))
    )
    evidence.attrs |= {"steps": 8, "space": "pixel"}
    save_errors(dataset, tmp_path / "errors.nc")
    save_evidence(evidence, tmp_path / "evidence.nc")
    store = tmp_path / "store"
    store.mkdir()
    np.save(store / "test.npy", generator.integers(0, 256, size=(6, 8, 8, 1), dtype=np.uint8))
    index = pd.DataFrame({"split": "test", "row": range(6), "image_id": IDS, "label": LABELS, "group": IDS})
    index.to_parquet(store / "index.parquet", index=False)
    (store / "manifest.json").write_text("{}")
    return dataset, evidence


def figure_command(folder: Path) -> list[str]:
    sources = {"errors": "errors.nc", "evidence": "evidence.nc", "manifest": "store/manifest.json"}
    files = {name: folder / path for name, path in sources.items()}
    return command_of("figures/evidence", FIGURE, folder, **files, counterfactuals=[])


def test_the_figure_shows_an_image_of_each_class_and_parts_that_add_up(tmp_path, scored):
    assert main(figure_command(tmp_path)) == 0
    table = pd.read_csv(tmp_path / "evidence.csv")
    assert sorted(table["label"]) == [0, 1]
    own = scored[0]["errors"].mean("step").sel(image=table["image_id"].tolist()).values
    expected = [row[1 - label] - row[label] for row, label in zip(own, table["label"], strict=True)]
    np.testing.assert_allclose(table["evidence"], expected, rtol=1e-4)
    np.testing.assert_allclose(table.filter(like="part_").sum(axis=1), expected, rtol=1e-4)
    assert (table["right"] == (np.array(expected) > 0)).all()
    assert min(Image.open(tmp_path / "evidence.png").size) > 200


def test_without_maps_the_figure_says_what_to_set(tmp_path, scored, caplog):
    (tmp_path / "evidence.nc").unlink()
    assert main(figure_command(tmp_path)) == 1
    assert "score.evidence: true" in caplog.text


def metrics_of(folder: Path) -> Path:
    rows = [
        ["evidence", "", "pointing", 0.95, 0.9, 0.99, 40, "sigma 1, threshold 2.00"],
        ["evidence", "", "iou", 0.7, 0.6, 0.8, 40, "sigma 1, threshold 2.00"],
        ["grad_cam", "", "pointing", 0.5, 0.4, 0.6, 40, "resnet layer3, sigma 0, threshold 1.00"],
        ["evidence", "grad_cam", "pointing_gain", 0.45, 0.3, 0.6, 40, ""],
        ["evidence", "grad_cam", "iou_gain", -0.1, -0.2, 0.05, 40, ""],
    ]
    table = pd.DataFrame(rows, columns=COLUMNS[4:])
    table = table.assign(dataset="chest", model="unet", seed=0, votes=0)[COLUMNS]
    table.to_csv(folder / "metrics.csv", index=False)
    return folder / "metrics.csv"


def test_the_table_has_values_and_paired_differences(tmp_path):
    params = {**LAYOUT, "confidence": 0.95}
    assert main(command_of("tables/localisation", params, tmp_path, metrics=metrics_of(tmp_path))) == 0
    text = (tmp_path / "localisation.md").read_text()
    assert "evidence map | 95 [90, 99] | 0.70 [0.60, 0.80]" in text
    assert "evidence map − Grad-CAM | +45 [+30, +60] | −0.10 [−0.20, +0.05]" in text
    assert "Grad-CAM: resnet layer3" in text and "UNet, n = 40" in text
    assert all(path.is_file() for path in outputs_of("tables/localisation", tmp_path))


def test_metrics_of_another_run_are_refused(tmp_path, caplog):
    params = {**LAYOUT, "confidence": 0.95, "runs": [{**LAYOUT["runs"][0], "seed": 1}]}
    assert main(command_of("tables/localisation", params, tmp_path, metrics=metrics_of(tmp_path))) == 1
    assert "files go in the order of the runs" in caplog.text
