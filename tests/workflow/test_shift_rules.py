"""An experiment whose models are tried on images unlike the training data."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from workflow_samples import Project, copy_of

pytestmark = pytest.mark.slow


def test_shifts_are_scored_beside_what_is_there(everything: Project, tmp_path: Path) -> None:
    project = copy_of(everything, tmp_path)
    shifts = {"kinds": ["inverted", "half_contrast"], "images": 3, "steps": 2}
    project.edit_yaml("config/experiments/smallest.yaml", shifts=shifts)
    assert project.planned() == {
        "shift_images": 1,
        "predict_baseline": 1,
        "score_further_shard": 4,
        "gather_further_errors": 2,
        "make_ood_table": 1,
        "plot_ood": 1,
        "write_methods": 1,
        "make_report": 1,
    }
    project.snakemake()
    assert project.planned() == {}
    table = pd.read_csv(project.folder / "results/smallest/tables/ood.csv")
    assert {*table["shift"]} == {"test", "inverted", "half_contrast", "mean", "worst"}
    assert table["auroc"].notna().sum() == 4 * (2 * 4 + 2)  # of two diffusion models and one baseline
