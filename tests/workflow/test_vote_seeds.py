"""Vote seeds: another one is scored with the weights that are there, and nothing else is made again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_staleness import FROM_ERRORS, REPORT
from workflow_samples import Project

from meddiff.scoring.error_file import load_errors

pytestmark = pytest.mark.slow

EXPERIMENT = "config/experiments/smallest.yaml"
RESULTS = "results/smallest"
RUN = f"{RESULTS}/small_chest/small_unet/seed0"
KEYS = ["model", "decision", "metric"]
# Cases and surest errors are those of the first vote seed.
FIRST_SEED = {"collect_cases", "plot_surest_errors_small_chest"}
TABLES = {rule: count for rule, count in REPORT.items() if rule not in FIRST_SEED}


def test_a_vote_seed_is_added_to_a_finished_run(project: Project) -> None:
    kept = [
        path
        for pattern in ("weights/*.*", "votes0/*.nc", "votes0/*/*.csv", "predictions/*.csv", "metrics/*.csv")
        for path in project.folder.glob(f"{RESULTS}/*/*/seed0/{pattern}")
    ]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in kept}
    assert len(before) == 3 * 3 + 2 + 2 * 4 + 2

    project.edit_yaml(EXPERIMENT, score={"seeds": [0, 4]})
    of_both_models = {"score_shard": 4, "gather_errors": 2, "vote": 4, "decide": 4}
    of_both_models |= {"compute_vote_metrics": 4}
    assert project.planned() == {**of_both_models, **FROM_ERRORS, **TABLES}
    project.snakemake()
    assert project.planned() == {}
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in kept} == before

    first, second = (load_errors(project.folder / RUN / f"votes{votes}/errors.nc") for votes in (0, 4))
    assert (first.attrs["seed"], second.attrs["seed"]) == (0, 4)
    assert first.attrs["weights_sha256"] == second.attrs["weights_sha256"]
    assert not np.isclose(first["logsnr"], second["logsnr"]).any()
    tables_have_both(project)
    status, chain = project.provenance(f"{RESULTS}/tables/classification.md")
    assert status == 0, chain

    # Without it, what is left is shown; with it again, it is there.
    project.edit_yaml(EXPERIMENT, score={"seeds": [0]})
    assert project.planned() == {**FROM_ERRORS, **TABLES}
    project.edit_yaml(EXPERIMENT, score={"seeds": [0, 4]})
    assert project.planned() == {}


def tables_have_both(project: Project) -> None:
    tables = project.folder / RESULTS / "tables"
    metrics = pd.read_csv(tables / "metrics.csv")
    decided = metrics[metrics["decision"] != "softmax"]
    assert decided.groupby(KEYS)["votes"].agg(list).map(tuple).unique().tolist() == [(0, 4)]
    assert metrics.loc[metrics["decision"] == "softmax", "votes"].isna().all()
    shown = pd.read_csv(tables / "classification.csv").set_index(KEYS)
    means = metrics.groupby(KEYS)["value"].mean()
    np.testing.assert_allclose(shown["value"], 100 * means.loc[shown.index])
    assert set(shown.loc[["small_unet", "small_dit"], "votes"]) == {2}
    assert shown.xs("small_resnet")["votes"].isna().all()
    assert "2 vote seeds" in (tables / "classification.md").read_text()
    pairs = pd.read_csv(tables / "comparison.csv")
    assert sorted(pairs["votes"]) == [0] * 4 + [4] * 4 and set(pairs["baseline"]) == {"small_resnet"}
    for name in ("tables/efficiency", "figures/step_ablation", "figures/uncertainty"):
        table = pd.read_csv(project.folder / RESULTS / f"{name}.csv")
        assert set(table.loc[table["model"] != "small_resnet", "votes"]) == {2}


def test_every_training_is_scored_with_every_vote_seed(project: Project) -> None:
    """A further training as well; what shows one vote seed shows the first that is named."""
    project.edit_yaml(EXPERIMENT, seeds=[0, 1])
    assert project.planned()["gather_errors"] == 2  # two models of training 1, each with vote seed 1
    changes = {"seeds": [1, 0]}
    block = {"models": ["small_unet"], "cfg_scale": 2.0, "sampling_steps": 2, "validity_steps": 1}
    project.edit_yaml(EXPERIMENT, seeds=[0, 1], score=changes, counterfactuals=block)
    planned = project.planned()
    assert planned["train_model"] == 3 and planned["make_counterfactuals"] == 2
    assert planned["gather_errors"] == 2 * 3 and planned["score_shard"] == 2 * 2 * 3
    text = project.snakemake("-n", "-p")
    measured = [line for line in text.splitlines() if "meddiff measure " in line]
    expected = {f"/seed{seed}/votes1/predictions/majority.csv" for seed in (0, 1)}
    assert len(measured) == 2
    assert {name for name in expected if any(name in line for line in measured)} == expected
    (method,) = [line for line in text.splitlines() if "meddiff artifact figures/method " in line]
    assert "small_dit/seed0/votes1/errors.nc" in method
