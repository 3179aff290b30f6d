"""The comparison of every diffusion classifier with the best baseline, image by image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.cells import signed
from meddiff.artifacts.layout import in_layout_order, row_title, with_preset
from meddiff.artifacts.render import Block, Cell, Column, Grid
from meddiff.artifacts.settings import Confidence, DecidedLayout, each_with, layout
from meddiff.evaluate.comparison import compare
from meddiff.readout.predictions import read_predictions

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Each diffusion classifier against the dataset's best baseline (the one with the highest accuracy on the same
test split): difference in accuracy with a paired confidence interval, and a permutation test that swaps the
two on all images of a group (a patient or a lesion) together, also corrected for the number of comparisons.
"""


class Settings(DecidedLayout):
    """What the table depends on."""

    confidence: Confidence


def plan(experiment: Experiment) -> list[Wanted]:
    """Every experiment has one."""
    runs = experiment.reported_runs()
    settings = Settings(**layout(experiment, runs), confidence=experiment.settings.evaluate.confidence)
    return [Wanted(settings, {"predictions": [experiment.predictions(run) for run in runs]})]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from predictions, one file a run."""
    pairs = each_with(settings.runs, files["predictions"], "predictions")
    table = compare([(run, read_predictions(path)) for run, path in pairs], settings.confidence)
    table = in_layout_order(table, settings)
    return table, with_preset([grid_of(table, settings)], settings)


def grid_of(table: pd.DataFrame, settings: Settings) -> Grid:
    """The comparison for reading, one block a dataset."""
    several = (table.groupby(["dataset", "model", "decision", "seed"])["votes"].nunique() > 1).any()
    columns = [
        "Model",
        "Best baseline",
        "Seed",
        *["Vote seed"] * bool(several),
        "Accuracy (%)",
        "Baseline (%)",
        "Difference",
        "Only model",
        "Only baseline",
        "p",
        "p (Holm)",
    ]
    titles = settings.model_titles()
    blocks = []
    for dataset, title in settings.dataset_titles().items():
        rows = [
            [
                Cell(row_title(row.model, row.decision, settings)),
                Cell(titles[row.baseline]),
                Cell(str(row.seed)),
                *[Cell(str(row.votes))] * bool(several),
                Cell(f"{row.accuracy:.1f}"),
                Cell(f"{row.baseline_accuracy:.1f}"),
                Cell(signed(row.difference), f"[{signed(row.ci_low)}, {signed(row.ci_high)}]"),
                Cell(str(row.only_model_correct)),
                Cell(str(row.only_baseline_correct)),
                _p_cell(row.p_value),
                _p_cell(row.p_holm),
            ]
            for row in table[table["dataset"] == dataset].itertuples()
        ]
        blocks += [Block(title, rows)] if rows else []
    if not blocks:
        return Grid(_nothing(settings), "comparison", [Column(c) for c in columns], [])
    caption = (
        "Diffusion classifiers against the best baseline of each dataset. The best baseline is the one with "
        "the highest accuracy on the test set itself (mean over seeds), which favours the baseline. "
        f"Difference: percentage points with the paired {100 * settings.confidence:g} % interval. "
        "Only model, only baseline: test images that one of the two alone classifies correctly. p: "
        "two-sided permutation test that swaps the two classifiers on all images of a group (a patient or a "
        "lesion) together; without groups it is McNemar's mid-p test. p (Holm): corrected for the number of "
        f"rows, {len(table)}. Interval and test allow for images in groups."
    )
    return Grid(caption, "comparison", [Column(c) for c in columns], blocks)


def _nothing(settings: Settings) -> str:
    """Why there is no comparison."""
    baselines = any(run.decision == "softmax" for run in settings.runs)
    missing = (
        "diffusion classifier to compare with the baselines" if baselines else "baseline to compare with"
    )
    return f"Diffusion classifiers against the best baseline of each dataset: there is no {missing}."


def _p_cell(value: float) -> Cell:
    return Cell(f"{value:.3f}" if value >= 0.001 else "<0.001")


ARTIFACT = Table("Comparing the diffusion classifiers with the best baseline", CAPTION, Settings, plan, make)
