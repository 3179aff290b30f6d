"""Stopping rules through Snakemake, from a finished run of all steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from meddiff.scoring.error_file import load_errors

pytestmark = pytest.mark.slow

RUN = "results/smallest/small_chest/small_unet/seed0/votes0"
EXPERIMENT = "config/experiments/smallest.yaml"


def test_exact_stopping_decides_as_all_steps_do_and_scores_nothing_again(project):
    before = pd.read_csv(project.folder / RUN / "predictions/majority.csv")
    project.edit_yaml(EXPERIMENT, score={"stopping": {"kind": "exact"}})
    planned = project.planned()
    assert planned["score_shard"] == 4 and planned["gather_errors"] == 2
    assert not [rule for rule in planned if rule.startswith(("train", "build", "split"))]
    assert not {"make_efficiency_table", "plot_efficiency"} & set(planned)  # these need all steps
    project.snakemake(f"{RUN}/metrics/majority.csv")
    after = pd.read_csv(project.folder / RUN / "predictions/majority.csv")
    assert after["prediction"].tolist() == before["prediction"].tolist()
    assert (before["steps_used"] == 3).all()
    assert set(after["steps_used"]) <= {2, 3} and (after["steps_used"] == 2).any()
    missing = np.isnan(load_errors(project.folder / RUN / "errors.nc")["errors"].values).any(axis=(1, 2))
    assert (missing == (after["steps_used"] == 2)).all()
    log = (project.folder / "logs/smallest/small_chest/small_unet/seed0/votes0/score-1-of-2.log").read_text()
    assert "of the 0 (image, step) pairs scored now, 0 were not" in log
    assert pd.read_csv(project.folder / RUN / "metrics/majority.csv")["value"].notna().any()


def test_further_errors_are_scored_and_compared(project):
    """Validation errors for weights of noise levels; test errors with other levels are scored likewise."""
    models, target = ["small_unet", "small_resnet"], "results/smallest/tables/efficiency.md"
    changes = {"validation": True, "weights": True, "compare_levels": ["antithetic"]}
    project.edit_yaml(EXPERIMENT, models=models, score=changes)
    scored = {"score_further_shard": 2, "score_validation_shard": 2}
    joined = {"gather_further_errors": 1, "gather_validation_errors": 1}
    assert project.planned(target) == {**scored, **joined, "make_efficiency_table": 1}
    project.edit_yaml(EXPERIMENT, score={"compare_levels": []})
    project.snakemake(target)
    validation = load_errors(project.folder / RUN / "errors_valid.nc")
    ids = pd.read_csv(project.folder / "splits/small_chest/valid.csv", dtype=str)["image_id"].tolist()
    assert validation["image"].values.tolist() == ids
    table = pd.read_csv(project.folder / "results/smallest/tables/efficiency.csv")
    assert set(table["decision"]) == {"majority", "weighted_votes", "mean", "weighted_errors"}
    assert set(table["levels"]) == {"uniform"}


def test_comparisons_need_the_errors_of_all_steps(clone):
    changes = {"validation": True, "weights": True, "stopping": {"kind": "exact"}}
    clone.edit_yaml(EXPERIMENT, score=changes)
    text = clone.snakemake("-n", expect=1)
    assert "smallest.yaml: score" in text and "errors of all steps" in text
    clone.edit_yaml(EXPERIMENT, score={"weights": False, "stopping": {"kind": "none"}})


def test_a_rule_that_cannot_be_is_refused_before_anything_runs(clone):
    clone.edit_yaml(EXPERIMENT, score={"stopping": {"kind": "exact", "decision": "mean"}})
    text = clone.snakemake("-n", expect=1)
    assert "smallest.yaml: score.stopping" in text and "errors have no bound" in text
    clone.edit_yaml(EXPERIMENT, score={"stopping": {"kind": "none"}})
