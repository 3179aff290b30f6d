"""The comparison of every diffusion classifier with the best baseline, image by image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.cells import signed
from meddiff.artifacts.layout import in_layout_order, row_title, with_preset
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import DecidedLayout, each_with, layout
from meddiff.evaluate.comparison import TEST, compare
from meddiff.evaluate.statistics import Resampling
from meddiff.readout.predictions import read_predictions
from meddiff.runs import Run

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Each diffusion classifier against the dataset's best baseline (the one with the highest balanced accuracy on
the validation split): differences in accuracy and in AUROC with paired confidence intervals, and permutation
tests that swap the two on all images of a group (a patient or a lesion) together, corrected for the number of
comparisons (Holm).
"""


class Settings(DecidedLayout, Resampling):
    """What the table depends on; `validation`: the baselines that have predictions of that split."""

    validation: list[Run] = Field(default_factory=list)


def plan(experiment: Experiment) -> list[Wanted]:
    """Every experiment has one."""
    runs = experiment.reported_runs()
    baselines = [run for run in runs if run.decision == "softmax"] * experiment.settings.score.validation
    settings = Settings(
        **layout(experiment, runs, folds=True),
        **experiment.resampling(),
        validation=[run.shown() for run in baselines],
    )
    files = {
        "predictions": [experiment.predictions(run) for run in runs],
        "validation": [experiment.scores(run, "valid") for run in baselines],
    }
    return [Wanted(settings, files)]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from predictions, one file a run, and of baselines another one of the validation split."""
    test = each_with(settings.runs, files["predictions"], "predictions")
    validation = each_with(settings.validation, files["validation"], "validation")
    table = compare(
        [(run, read_predictions(path)) for run, path in test],
        settings,
        [(run, read_predictions(path)) for run, path in validation],
        settings.folds,
    )
    table = in_layout_order(table, settings)
    return table, with_preset(grids_of(table, settings), settings)


def grids_of(table: pd.DataFrame, settings: Settings) -> list[Grid]:
    """The comparison for reading, of decisions and of rankings, one block a dataset."""
    if table.empty:
        columns = [Column(name) for name in ("Model", "Best baseline", "Seed")]
        return [Grid(_nothing(settings), "comparison", columns, [])]
    paired = f"with the paired {100 * settings.confidence:g} % interval"
    corrected = f"p (Holm): corrected for the number of rows, {table['p_holm'].notna().sum()}."
    pooled = (
        " Of a dataset with folds the test images of all folds are compared together, each of which is "
        "tested once; interval and test are for other test images, not for other trainings."
    ) * bool(settings.folds)
    averaged = " Of a dataset with folds AUROCs are of each fold, and then averaged." * bool(settings.folds)
    decisions = (
        f"Diffusion classifiers against the best baseline of each dataset. {_choice(table)} "
        f"Difference: percentage points {paired}. "
        "Only model, only baseline: test images that one of the two alone classifies correctly. p: "
        "two-sided permutation test that swaps the two classifiers on all images of a group (a patient or a "
        f"lesion) together; without groups it is McNemar's mid-p test. {corrected} Interval and test allow "
        f"for images in groups.{pooled}"
    )
    rankings = (
        "The same by AUROC (of more than two classes the mean of one-versus-rest). Difference "
        f"{paired}: from the variance of a bootstrap over groups, to which part of the largest possible "
        "variance is added, so that it keeps a width where no resample differs. p: two-sided permutation "
        "test that swaps the ranks that the two classifiers give to the images of a group; it adds nothing, "
        f"so p can be small where the interval holds 0. {corrected}{averaged}"
    )
    accuracies = {
        "Accuracy (%)": lambda row: Cell(f"{row.accuracy:.1f}"),
        "Baseline (%)": lambda row: Cell(f"{row.baseline_accuracy:.1f}"),
        "Difference": lambda row: _difference(row.difference, row.ci_low, row.ci_high, 1),
        "Only model": lambda row: Cell(str(row.only_model_correct)),
        "Only baseline": lambda row: Cell(str(row.only_baseline_correct)),
        "p": lambda row: _p_cell(row.p_value),
        "p (Holm)": lambda row: _p_cell(row.p_holm),
    }
    aurocs = {
        "AUROC": lambda row: _number(row.auroc),
        "Baseline": lambda row: _number(row.baseline_auroc),
        "Difference": lambda row: _difference(row.auroc_difference, row.auroc_ci_low, row.auroc_ci_high, 3),
        "p": lambda row: _p_cell(row.auroc_p_value),
        "p (Holm)": lambda row: _p_cell(row.auroc_p_holm),
    }
    return [
        _grid(decisions, "comparison", table, settings, accuracies),
        _grid(rankings, "comparison_auroc", table, settings, aurocs),
    ]


def _choice(table: pd.DataFrame) -> str:
    """What the best baseline is the best of."""
    test = "of these test images themselves (mean over seeds), which favours the baseline"
    if (table["chosen_on"] == TEST).all():
        return f"The best baseline is the one with the highest balanced accuracy {test}."
    words = "The best baseline is the one with the highest balanced accuracy on the validation split"
    mixed = f"; where there are no predictions of it, {test}" * bool((table["chosen_on"] == TEST).any())
    return f"{words} (mean over seeds){mixed}."


def _grid(
    caption: str,
    label: str,
    table: pd.DataFrame,
    settings: Settings,
    shown: Mapping[str, Callable[[Any], Cell]],
) -> Grid:
    several = (table.groupby(["dataset", "model", "decision", "seed"])["votes"].nunique() > 1).any()
    titles = settings.model_titles()
    blocks = []
    for dataset, title in settings.dataset_titles().items():
        rows = [
            [
                Cell(row_title(row.model, row.decision, settings)),
                Cell(titles[row.baseline]),
                Cell(str(row.seed)),
                *[Cell(str(row.votes))] * bool(several),
                *(cell(row) for cell in shown.values()),
            ]
            for row in table[table["dataset"] == dataset].itertuples()
        ]
        blocks += [Block(title, rows)] if rows else []
    columns = ["Model", "Best baseline", "Seed", *["Vote seed"] * bool(several), *shown]
    return Grid(caption, label, [Column(column) for column in columns], blocks)


def _nothing(settings: Settings) -> str:
    """Why there is no comparison."""
    baselines = any(run.decision == "softmax" for run in settings.runs)
    missing = (
        "diffusion classifier to compare with the baselines" if baselines else "baseline to compare with"
    )
    return f"Diffusion classifiers against the best baseline of each dataset: there is no {missing}."


def _number(value: float) -> Cell:
    return NONE if pd.isna(value) else Cell(f"{value:.3f}")


def _difference(value: float, low: float, high: float, digits: int) -> Cell:
    if pd.isna(value):
        return NONE
    return Cell(signed(value, digits), f"[{signed(low, digits)}, {signed(high, digits)}]")


def _p_cell(value: float) -> Cell:
    return NONE if pd.isna(value) else Cell(f"{value:.3f}" if value >= 0.001 else "<0.001")


ARTIFACT = Table("Comparing the diffusion classifiers with the best baseline", CAPTION, Settings, plan, make)
