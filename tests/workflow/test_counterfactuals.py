"""Counterfactuals through the rules: what is made, and what an edit of the block makes again."""

from __future__ import annotations

import pandas as pd
import pytest
from workflow_samples import DATASET, Project

pytestmark = pytest.mark.slow

BLOCK = {
    "models": ["small_unet"],
    "cfg_scale": 2.0,
    "sampling_steps": 2,
    "images_per_class": 3,
    "validity_steps": 1,
    "oracle": "small_resnet",
    "front": {"from_t": [0.2, 0.5], "cfg_scale": [1.0, 2.0], "images_per_class": 2},
}
EXPERIMENT = "config/experiments/smallest.yaml"
RUN = "results/smallest/small_chest/small_unet/seed0/counterfactuals"
MADE = {
    "make_counterfactuals": 1,
    "measure_counterfactuals": 1,
    "make_counterfactuals_table": 1,
    "plot_counterfactuals_small_chest": 1,
    "plot_counterfactual_front": 1,
    "collect_cases": 1,
    "write_methods": 1,
    "make_report": 1,
}


def test_counterfactuals_from_a_finished_run(project: Project) -> None:
    project.edit_yaml(EXPERIMENT, counterfactuals=BLOCK)
    assert project.planned() == MADE  # no model is trained or scored again
    project.snakemake()

    table = pd.read_csv(project.folder / RUN / "counterfactuals.csv")
    main = table[table["main"] == 1]
    assert main["role"].value_counts().to_dict() == {"factual": 6, "counterfactual": 6, "cycle": 6}
    assert table["file"].is_unique
    made = sorted((project.folder / RUN / "images").rglob("*.png"))
    assert len(made) == len(table) and all(
        (project.folder / RUN / "images" / f).is_file() for f in table["file"]
    )

    results = project.folder / "results/smallest"
    for name in ("figures/counterfactuals_small_chest.png", "figures/counterfactual_front.png"):
        assert (results / name).stat().st_size > 5000
    text = (results / "tables/counterfactuals.md").read_text()
    assert all(entry["name"] in text for entry in DATASET["classes"])
    assert project.planned() == {}

    status, chain = project.provenance("results/smallest/tables/counterfactuals.md")
    assert status == 0, chain
    assert "[explain, " in chain and "counterfactuals.csv,features.npz,images" in chain

    # What only shows or measures makes no image again.
    project.edit_yaml(EXPERIMENT, figures={"counterfactual_front": {"width": 5.0}})
    assert project.planned() == {"plot_counterfactual_front": 1, "make_report": 1}
    project.edit_yaml(EXPERIMENT, figures={}, counterfactuals={**BLOCK, "mask_margin": 2})
    planned = project.planned()
    assert "make_counterfactuals" not in planned and planned["measure_counterfactuals"] == 1
    project.edit_yaml(EXPERIMENT, counterfactuals={**BLOCK, "mask_margin": 1, "cfg_scale": 3.0})
    assert project.planned()["make_counterfactuals"] == 1


def test_a_judge_that_is_not_there_stops_before_anything_runs(project: Project) -> None:
    project.edit_yaml(EXPERIMENT, counterfactuals={**BLOCK, "oracle": "resnet"})
    text = project.snakemake("-n", expect=1)
    assert "counterfactuals.oracle" in text and "'resnet'" in text
