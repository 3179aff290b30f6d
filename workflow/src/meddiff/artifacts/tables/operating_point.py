"""The table of sensitivity, specificity and predictive values at the operating point of every model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.cells import estimate
from meddiff.artifacts.layout import in_layout_order, row_title, rows_of, several_seeds, with_preset
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import (
    Confidence,
    DatasetEntry,
    DecidedLayout,
    Line,
    class_names,
    each_with,
    layout,
)
from meddiff.config.schema.operating_point import YOUDEN, OperatingPoint
from meddiff.evaluate.folds.means import over_seeds_and_folds, sizes_with_sums
from meddiff.evaluate.metrics.catalogue import AT_POINT, THRESHOLD
from meddiff.evaluate.summary import class_sizes, read_all_metrics

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Of two classes: sensitivity, specificity, and positive and negative predictive value on the test split, at an
operating point that was chosen for every model on the validation split. Predictive values depend on how
frequent the positive class is.
"""


class PairEntry(DatasetEntry):
    """A dataset of two classes as shown."""

    positive: Line = Field(description="name of the positive class")


class Settings(DecidedLayout):
    """What the table depends on."""

    datasets: list[PairEntry] = Field(min_length=1)
    operating_point: OperatingPoint
    confidence: Confidence


def plan(experiment: Experiment) -> list[Wanted]:
    """Where datasets have two classes, and the validation split is scored."""
    datasets = [name for name in experiment.datasets if experiment.has_operating_point(name)]
    runs = [run for run in experiment.reported_runs() if run.dataset in datasets]
    if not runs:
        return []
    fields, evaluate = layout(experiment, runs, datasets, folds=True), experiment.settings.evaluate
    names = class_names(experiment, folds=True)
    fields["datasets"] = [
        PairEntry(**entry, positive=names[entry["name"]][1]) for entry in fields["datasets"]
    ]
    settings = Settings(**fields, operating_point=evaluate.operating_point, confidence=evaluate.confidence)
    return [Wanted(settings, {"metrics": [experiment.metrics(run) for run in runs]})]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from metrics files, one a run."""
    metrics = read_all_metrics(each_with(settings.runs, files["metrics"], "metrics"))
    shown = metrics[metrics["metric"].isin([THRESHOLD, *AT_POINT])]
    table = over_seeds_and_folds(shown, settings.confidence, settings.folds)
    table["n_by_class"] = table["dataset"].map(sizes_with_sums(metrics, settings.folds))
    table = in_layout_order(table, settings)
    return table, with_preset([grid_of(table, settings)], settings)


def grid_of(table: pd.DataFrame, settings: Settings) -> Grid:
    """The table for reading, one block a dataset, in percent."""
    cells = {(row.dataset, row.model, row.decision, row.metric): row for row in table.itertuples()}
    blocks = []
    for entry in settings.datasets:
        here = table[table["dataset"] == entry.name]
        rows = [
            [
                Cell(row_title(model, decision, settings)),
                _threshold(cells[entry.name, model, decision, THRESHOLD].value),
                *(estimate(cells.get((entry.name, model, decision, name)), scale=100) for name in AT_POINT),
            ]
            for model, decision in rows_of(here, list(settings.model_titles()))
        ]
        if rows:
            negatives, positives = class_sizes(here["n_by_class"].iloc[0])
            share = f"{100 * positives / (positives + negatives):.1f} %"
            blocks.append(Block(f"{entry.title}: {entry.positive} is positive, {share} of images", rows))
    rule = (
        "the largest sum of sensitivity and specificity (Youden)"
        if settings.operating_point == YOUDEN
        else str(settings.operating_point)
    )
    caption = (
        f"At an operating point with {rule} on the validation split, on the test split in percent, with "
        f"{100 * settings.confidence:g} % intervals for other test images at the same threshold. Threshold: "
        "the lowest probability of the positive class, before calibration, from which an image is called "
        f"positive. {several_seeds(table)} – means not defined."
    )
    columns = ["Model", "Threshold", *(f"{metric.title} (%)" for metric in AT_POINT.values())]
    return Grid(caption.replace("  ", " "), "operating_point", [Column(title) for title in columns], blocks)


def _threshold(value: float) -> Cell:
    return NONE if pd.isna(value) else Cell(f"{value:.3g}")


ARTIFACT = Table("Judging models at their operating points", CAPTION, Settings, plan, make)
