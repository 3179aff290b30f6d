"""The table of all metrics of every model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.class_words import class_words, in_sentence
from meddiff.artifacts.layout import in_layout_order, row_title, rows_of, with_preset
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import DecidedLayout, Line, class_names, each_with, layout
from meddiff.evaluate.folds.means import mean_values
from meddiff.evaluate.metrics.catalogue import AT_POINT, METRICS, THRESHOLD, Metric, find
from meddiff.evaluate.over_seeds import RESULT_KEYS
from meddiff.evaluate.summary import read_all_metrics

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
All metrics of all models: discrimination, calibration, and the areas under the risk-coverage curve (AURC) and
the generalized one (AUGRC) for each kind of uncertainty. Of two classes precision, recall, F1, AUROC and
average precision are those of the last one; of more they are unweighted means over the classes (macro
average), AUROC and average precision of each class against all others.
"""


class Settings(DecidedLayout):
    """What the table depends on; `classes` has the names of each dataset's, for the caption."""

    classes: dict[str, list[Line]] = Field(default_factory=dict)


def plan(experiment: Experiment) -> list[Wanted]:
    """Every experiment has one."""
    runs = experiment.decided_runs()
    settings = Settings(**layout(experiment, runs, folds=True), classes=class_names(experiment, folds=True))
    return [Wanted(settings, {"metrics": [experiment.metrics(run) for run in runs]})]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from metrics files, one a run."""
    metrics = read_all_metrics(each_with(settings.runs, files["metrics"], "metrics"))
    table = in_layout_order(metrics, settings)
    return table, with_preset([grid_of(table, settings)], settings)


def grid_of(metrics: pd.DataFrame, settings: Settings) -> Grid:
    """All metrics (mean over seeds, vote seeds and folds), one block a dataset; intervals are in the CSV."""
    means = metrics.groupby(RESULT_KEYS, sort=False)["value"].mean().reset_index()
    table = mean_values(means, settings.folds, RESULT_KEYS)
    there = [name for name in dict.fromkeys(table["metric"]) if name not in (THRESHOLD, *AT_POINT)]
    names = [name for name in METRICS if name in there] + [name for name in there if name not in METRICS]
    names = [name for name in names if not _of_calibration(find(name))]
    columns = {name: metric.title if (metric := find(name)) else name for name in names}
    values = table.set_index(RESULT_KEYS)["value"]
    blocks = []
    for dataset, title in settings.dataset_titles().items():
        here = table[table["dataset"] == dataset]
        rows = []
        for model, decision in rows_of(here, list(settings.model_titles())):
            cells = [_number_cell(values.get((dataset, model, decision, name))) for name in names]
            rows.append([Cell(row_title(model, decision, settings)), *cells])
        blocks += [Block(title, rows)] if rows else []
    titles = {
        name: title for name, title in settings.dataset_titles().items() if name in set(table["dataset"])
    }
    words = " ".join([_directions(names), *class_words(names, titles, settings.classes)])
    caption = (
        f"All metrics on the test set, as fractions (NLL in nats), mean over seeds. {words} "
        "Of votes, NLL is of shares with half a vote more for each class; of an image that stopped early, "
        "Brier score, NLL and ECE are of the shares to be expected of all steps, smoothed likewise, once. "
        "– means not defined or not available. The CSV has metrics of calibrated probabilities, too."
    )
    if not (metrics["metric"] == THRESHOLD).any() and 2 in map(len, settings.classes.values()):
        caption += (
            " Sensitivity, specificity and predictive values are missing: these need an operating point, "
            "which is chosen on the validation split, and that is not scored."
        )
    return Grid(caption, "metrics", [Column("Model"), *map(Column, columns.values())], blocks)


def _of_calibration(metric: Metric | None) -> bool:
    """Whether it is shown in the table `calibration`."""
    return metric is not None and (metric.calibrated or metric.higher_is_better is None)


def _directions(names: Sequence[str]) -> str:
    """Which metrics are better the higher they are; these come first."""
    known = [metric for name in names if (metric := find(name))]
    higher = [metric.title for metric in known if metric.higher_is_better]
    lower = [metric.title for metric in known if not metric.higher_is_better]
    parts = [f"Higher is better up to {in_sentence(higher[-1])}"] if higher else []
    parts += [f"{'l' if parts else 'L'}ower is better from {lower[0]} on"] if lower else []
    return f"{', '.join(parts)}." if parts else ""


def _number_cell(value: float | None) -> Cell:
    return NONE if value is None or pd.isna(value) else Cell(f"{value:.3f}")


ARTIFACT = Table("Collecting all metrics", CAPTION, Settings, plan, make)
