"""The table of all metrics of every model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.class_words import class_words
from meddiff.artifacts.layout import in_layout_order, row_title, rows_of, with_preset
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import DecidedLayout, Line, class_names, each_with, layout
from meddiff.evaluate.over_seeds import RESULT_KEYS
from meddiff.evaluate.summary import read_all_metrics

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
All metrics of all models: discrimination, calibration, and area under the risk-coverage curve for each kind
of uncertainty. Of two classes precision, recall, F1 and AUROC are those of the last one; of more they are
unweighted means over the classes (macro average), AUROC of each class against all others.
"""
METRIC_TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced acc.",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auroc": "AUROC",
    "brier": "Brier",
    "nll": "NLL",
    "ece": "ECE",
    "aurc_vote_entropy": "AURC vote entropy",
    "aurc_t_score": "AURC t-score",
    "aurc_softmax_entropy": "AURC softmax entropy",
}


class Settings(DecidedLayout):
    """What the table depends on; `classes` has the names of each dataset's, for the caption."""

    classes: dict[str, list[Line]] = Field(default_factory=dict)


def plan(experiment: Experiment) -> list[Wanted]:
    """Every experiment has one."""
    runs = experiment.decided_runs()
    settings = Settings(**layout(experiment, runs), classes=class_names(experiment))
    return [Wanted(settings, {"metrics": [experiment.metrics(run) for run in runs]})]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from metrics files, one a run."""
    metrics = read_all_metrics(each_with(settings.runs, files["metrics"], "metrics"))
    table = in_layout_order(metrics, settings)
    return table, with_preset([grid_of(table, settings)], settings)


def grid_of(metrics: pd.DataFrame, settings: Settings) -> Grid:
    """All metrics (mean over seeds and vote seeds), one block a dataset; intervals are in the CSV."""
    table = metrics.groupby(RESULT_KEYS, sort=False)["value"].mean().reset_index()
    names = [name for name in METRIC_TITLES if (table["metric"] == name).any()]
    names += [name for name in dict.fromkeys(table["metric"]) if name not in METRIC_TITLES]
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
    words = "".join(f" {sentence}" for sentence in class_words(names, titles, settings.classes))
    caption = (
        "All metrics on the test set, as fractions (NLL in nats), mean over seeds. Higher is better up to "
        f"AUROC, lower is better from the Brier score on.{words} Of votes, NLL is of shares with half a vote "
        "more for each class; of an image that stopped early, Brier score, NLL and ECE are of the shares to "
        "be expected of all steps, smoothed likewise, once. – means not defined or not available."
    )
    columns = [Column("Model"), *(Column(METRIC_TITLES.get(name, name)) for name in names)]
    return Grid(caption, "metrics", columns, blocks)


def _number_cell(value: float | None) -> Cell:
    return NONE if value is None or pd.isna(value) else Cell(f"{value:.3f}")


ARTIFACT = Table("Collecting all metrics", CAPTION, Settings, plan, make)
