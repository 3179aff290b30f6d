"""The figure of the surest errors."""

from pathlib import Path

import pytest

from case_samples import ODD_CLASSES, made_up
from meddiff.artifacts.figures.surest_errors import ARTIFACT, Settings, data
from meddiff.artifacts.making import draw_figure
from meddiff.readout.from_logits import from_probabilities
from meddiff.readout.predictions import write_predictions

RUNS = [
    {"dataset": "chest", "model": "unet", "seed": 0, "votes": 0, "decision": "majority"},
    {"dataset": "chest", "model": "resnet", "seed": 0, "decision": "softmax"},
]


def settings_of(classes: list[str], images: int = 2) -> Settings:
    models = [
        {"name": "unet", "title": "UNet", "family": "diffusion"},
        {"name": "resnet", "title": "ResNet", "family": "cnn"},
    ]
    datasets = [{"name": "chest", "title": "Chest"}]
    shown = {"datasets": datasets, "models": models, "runs": RUNS, "classes": {"chest": classes}}
    return Settings(**shown, images=images, style={"width": 7.0, "height": 1.1, "dpi": 50})


def test_errors_are_ordered_by_their_probability(tmp_path: Path) -> None:
    ids, shares = ["a", "b", "c", "d"], [[0.2, 0.8], [0.1, 0.9], [0.95, 0.05], [0.4, 0.6]]
    write_predictions(from_probabilities(ids, ids, [0, 0, 0, 0], shares), tmp_path / "majority.csv")
    write_predictions(from_probabilities(ids, ids, [1, 1, 0, 1], shares), tmp_path / "softmax.csv")
    files = {"predictions": [tmp_path / "majority.csv", tmp_path / "softmax.csv"], "manifest": [tmp_path]}
    table = data(settings_of(["no", "yes"]), files)
    assert table[["model", "rank", "image_id"]].to_numpy().tolist() == [["unet", 1, "b"], ["unet", 2, "a"]]
    assert table["probability"].tolist() == pytest.approx([0.9, 0.8])


def test_it_is_drawn_with_any_names_and_without_errors(tmp_path: Path) -> None:
    shown = made_up(tmp_path, 12, ODD_CLASSES[:3]).datasets[0]
    right = from_probabilities(list("ab"), list("ab"), [0, 1], [[0.9, 0.1], [0.1, 0.9]])
    write_predictions(right, tmp_path / "right.csv")
    files = {
        "predictions": [Path(shown.runs[0].predictions), tmp_path / "right.csv"],
        "manifest": [tmp_path / "store/manifest.json"],
    }
    out = [tmp_path / f"surest_errors.{suffix}" for suffix in ("csv", "png", "pdf")]
    draw_figure(ARTIFACT, settings_of(ODD_CLASSES[:3]), files, *out)
    assert all(path.stat().st_size > 100 for path in out)
    assert "resnet" not in out[0].read_text()
