"""The workflow from images to tables and figures."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image

from meddiff.scoring.error_file import load_errors

pytestmark = pytest.mark.slow

RESULTS = "results/smallest"


def test_results_are_complete(finished):
    results = finished.folder / RESULTS
    for kind in ("classification", "comparison", "metrics", "efficiency"):
        for suffix in ("csv", "md", "tex"):
            assert (results / f"tables/{kind}.{suffix}").stat().st_size > 0
    for kind in ("step_ablation", "uncertainty", "method", "efficiency"):
        assert (results / f"figures/{kind}.pdf").read_bytes().startswith(b"%PDF")
        assert min(Image.open(results / f"figures/{kind}.png").size) > 200
    table = pd.read_csv(results / "tables/metrics.csv")
    assert set(table["model"]) == {"small_unet", "small_dit", "small_resnet"}
    assert set(table.loc[table["model"] == "small_unet", "decision"]) == {"majority", "mean"}


def test_what_the_validation_split_and_maps_are_for(everything):
    """Calibrated probabilities, triage, operating points, and evidence maps beside Grad-CAM."""
    results = everything.folder / RESULTS
    assert everything.planned() == {}
    for kind in ("calibration", "triage", "operating_point", "localisation"):
        assert (results / f"tables/{kind}.md").stat().st_size > 0
    for kind in ("evidence_small_chest", "reliability_small_chest", "decision_curve"):
        assert min(Image.open(results / f"figures/{kind}.png").size) > 200
    table = pd.read_csv(results / "tables/metrics.csv")
    assert set(table.loc[table["model"] == "small_unet", "decision"]) == {"majority", "mean", "t_score"}
    assert {"nll", "nll_calibrated"} <= set(table["metric"])
    found = pd.read_csv(results / "tables/localisation.csv", keep_default_na=False)
    assert set(found["model"]) == {"small_unet", "small_dit"}
    assert set(found["method"] + found["against"]) == {
        *("evidence", "grad_cam", "prior"),
        *("evidencegrad_cam", "evidenceprior"),
    }


def test_every_baseline_and_diffusion_prediction_is_of_the_same_test_images(finished):
    test = pd.read_csv(finished.folder / "splits/small_chest/test.csv", dtype=str)
    files = sorted(finished.folder.glob(f"{RESULTS}/*/*/*/**/predictions/*.csv"))
    assert len(files) == 5
    for file in files:
        predictions = pd.read_csv(file, dtype={"image_id": str})
        assert predictions["image_id"].tolist() == test["image_id"].tolist()
        assert predictions["label"].astype(str).tolist() == test["label"].tolist()


def test_shards_leave_no_trace(project):
    """One shard and two give the same errors file (issue: any number of shards)."""
    run = f"{RESULTS}/small_chest/small_unet/seed0/votes0"
    before = load_errors(project.folder / run / "errors.nc")
    shutil.rmtree(project.folder / ".meddiff")
    project = replace(project, warm=False)
    project.edit_yaml("config/experiments/smallest.yaml", score={"shards": 1})
    project.snakemake(f"{run}/errors.nc", "--force")
    after = load_errors(project.folder / run / "errors.nc")
    assert after["image"].values.tolist() == before["image"].values.tolist()
    assert (after["logsnr"] == before["logsnr"]).all()
    assert abs(after["errors"] / before["errors"] - 1).max() < 1e-5


def test_more_steps_score_only_the_new_ones(project):
    project.edit_yaml("config/experiments/smallest.yaml", score={"steps": 5})
    run = f"{RESULTS}/small_chest/small_unet/seed0/votes0"
    before = load_errors(project.folder / run / "errors.nc")["errors"].values
    project.snakemake(f"{run}/errors.nc")
    after = load_errors(project.folder / run / "errors.nc")["errors"].values
    assert after.shape[1] == 5
    assert (after[:, :3] == before).all()
    logs = sorted(project.folder.glob("logs/smallest/small_chest/small_unet/seed0/votes0/score-*.log"))
    assert len(logs) == 2
    for log in logs:
        done, total = (int(word) for word in log.read_text().split(" (image, step)")[0].split()[-3::2])
        assert done * 5 == total * 3


def test_a_broken_image_stops_the_run_before_training(project):
    data = project.folder / "data/small_chest"
    path = pd.read_csv(data / "table.csv")["path"].iloc[5]
    for made in ("results", "splits/small_chest", "data/small_chest/store"):
        shutil.rmtree(project.folder / made)
    (data / "table.csv").unlink()
    (data / "raw" / path).write_bytes((data / "raw" / path).read_bytes()[:100])
    project.snakemake(expect=1)
    log = (project.folder / "logs/data/small_chest/validate.log").read_text()
    assert path in log
    assert "Traceback" not in log
    assert not (project.folder / "results").exists()


def test_unknown_keys_are_errors_before_anything_runs(project):
    project.edit_yaml("config/experiments/smallest.yaml", score={"stepz": 3})
    text = project.snakemake("-n", expect=1)
    assert "config/experiments/smallest.yaml: score.stepz: unknown key" in text
