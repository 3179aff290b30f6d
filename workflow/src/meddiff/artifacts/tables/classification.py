"""The classification table, the paper's: accuracy and F1 of every model, beside the published values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.cells import VALIDATION_WORDS, estimate, published_cell
from meddiff.artifacts.class_words import balance_words, class_words
from meddiff.artifacts.layout import in_layout_order, row_title, rows_of, several_seeds, with_preset
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import (
    FAMILY_TITLES,
    Confidence,
    DecidedLayout,
    Line,
    class_names,
    each_with,
    layout,
)
from meddiff.config.datasets.folds import whole
from meddiff.config.schema.augmentation import differences_in_words
from meddiff.config.schema.strict import Strict
from meddiff.evaluate.folds.means import over_seeds_and_folds, sizes_with_sums
from meddiff.evaluate.summary import Sizes, class_sizes, is_unequal, most_frequent_share, read_all_metrics

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Accuracy and F1 on the test split, in percent, with confidence intervals that allow for images in groups
(patients, lesions); where classes are unequal balanced accuracy and AUROC as well. Diffusion models, where
there are any, appear once for each decision rule: the majority vote over noise levels, and the class with
the smallest mean error.
"""

SHOWN = {
    "accuracy": "Accuracy (%)",
    "f1": "F1 (%)",
    "balanced_accuracy": "Balanced acc. (%)",
    "auroc": "AUROC (%)",
}
_OF_THE_PAPER = ("accuracy", "f1")


class PublishedScores(Strict):
    """The paper's values for one model; of a diffusion model by majority vote."""

    accuracy: float = Field(ge=0, le=100, description="percent")
    f1: float = Field(ge=0, le=1, description="fraction, as the paper prints it")
    split: Literal["test", "valid"] = Field(
        default="test", description="whose images they are of; values of other images are not compared"
    )


class Settings(DecidedLayout):
    """What the table depends on.

    Attributes:
        published: dataset -> model -> scores.
        other_splits: datasets whose splits are not the published ones.
        augmentation: dataset -> how training images of its models are changed, where not alike.
        classes: dataset -> names in order of the class index, for the caption.
        confidence: of the intervals in the metrics files.
    """

    published: dict[str, dict[str, PublishedScores]] | None = None
    other_splits: list[str] = Field(default_factory=list)
    augmentation: dict[str, Line] = Field(default_factory=dict)
    classes: dict[str, list[Line]] = Field(default_factory=dict)
    confidence: Confidence


def plan(experiment: Experiment) -> list[Wanted]:
    """Every experiment has one."""
    config, runs = experiment.config, experiment.reported_runs()
    settings = Settings(
        **layout(experiment, runs, folds=True),
        confidence=experiment.settings.evaluate.confidence,
        published=config.published("classification"),
        other_splits=_other_splits(experiment) if experiment.settings.published else [],
        classes=class_names(experiment, folds=True),
        augmentation=_unequal_augmentation(experiment),
    )
    return [Wanted(settings, {"metrics": [experiment.metrics(run) for run in runs]})]


def _other_splits(experiment: Experiment) -> list[str]:
    datasets = experiment.config.datasets
    found = [whole(name) for name, dataset in datasets.items() if dataset.split.kind != "official"]
    return list(dict.fromkeys(found))


def _unequal_augmentation(experiment: Experiment) -> dict[str, str]:
    """Datasets whose training images are not changed alike for all models, and what is done for each."""
    found = {}
    for name in experiment.datasets:
        models = [experiment.config.model(model, name) for model in experiment.models]
        trained = {model.title: model.train.augmentation for model in models if model.train}
        if words := differences_in_words(trained):
            found[whole(name)] = words
    return found


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from metrics files, one a run."""
    metrics = read_all_metrics(each_with(settings.runs, files["metrics"], "metrics"))
    table = table_of(metrics, settings)
    beside = bool(table["published"].notna().any())
    return table, with_preset([grid_of(table, settings)], settings, beside_published=beside)


def table_of(metrics: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The metrics `SHOWN` of every model, in percent, with the published values where there are any.

    Returns:
        Columns dataset, family, model, decision, metric, value, ci_low, ci_high, sd, seeds, votes, n,
        n_largest, folds (where there are some), n_by_class, published, published_split (whose images it is
        of), difference (ours minus published, where that is of the test images), difference_ci_low,
        difference_ci_high (our interval minus published, which is taken as exact); rows in the order of the
        layout.
    """
    table = over_seeds_and_folds(metrics[metrics["metric"].isin(SHOWN)], settings.confidence, settings.folds)
    percent = ["value", "ci_low", "ci_high", "sd"]
    table[percent] *= 100
    table["n_by_class"] = table["dataset"].map(sizes_with_sums(metrics, settings.folds))
    table.insert(1, "family", table["model"].map({m.name: m.family for m in settings.models}))
    scores = [_published(row, settings) for row in table.itertuples()]
    table["published"] = [value for value, _ in scores]
    table["published_split"] = [split for _, split in scores]
    compared = table["published"].where(table["published_split"] == "test")
    for column, name in (
        ("value", "difference"),
        ("ci_low", "difference_ci_low"),
        ("ci_high", "difference_ci_high"),
    ):
        table[name] = table[column] - compared
    return in_layout_order(table, settings)


def grid_of(table: pd.DataFrame, settings: Settings) -> Grid:
    """The table of the paper: blocks of families, column groups of datasets, best value per column bold."""
    datasets = [entry for entry in settings.datasets if (table["dataset"] == entry.name).any()]
    with_published = {
        d.name: table.loc[table["dataset"] == d.name, "published"].notna().any() for d in datasets
    }
    sizes = {entry.name: _sizes(table, entry.name) for entry in datasets}
    shown = {name: tuple(SHOWN) if is_unequal(of) else _OF_THE_PAPER for name, of in sizes.items()}
    columns = [Column("Model")]
    for entry in datasets:
        for metric in shown[entry.name]:
            columns.append(Column(SHOWN[metric], entry.title))
            columns += [Column("paper (Δ)", entry.title)] * _has_paper(metric, with_published[entry.name])
    cells = {(row.dataset, row.model, row.decision, row.metric): row for row in table.itertuples()}
    best = {key: f"{value:.1f}" for key, value in table.groupby(["dataset", "metric"])["value"].max().items()}
    for name in (name for name, of in sizes.items() if is_unequal(of)):
        if float(best[name, "accuracy"]) <= round(100 * most_frequent_share(sizes[name]), 1):
            best[name, "accuracy"] = ""  # no model beats an answer that is always the same
    blocks = []
    for family, title in FAMILY_TITLES.items():
        rows = []
        for model, decision in rows_of(table, [m.name for m in settings.models if m.family == family]):
            line = [Cell(row_title(model, decision, settings))]
            for entry in datasets:
                for metric in shown[entry.name]:
                    row = cells.get((entry.name, model, decision, metric))
                    cell = estimate(row)
                    line.append(replace(cell, best=cell.value == best.get((entry.name, metric))))
                    if _has_paper(metric, with_published[entry.name]):
                        line.append(_paper(row))
            rows.append(line)
        blocks += [Block(title, rows)] if rows else []
    return Grid(
        _caption(table, settings, any(with_published.values())),
        "classification",
        columns,
        blocks,
    )


def _sizes(table: pd.DataFrame, dataset: str) -> Sizes:
    return class_sizes(table.loc[table["dataset"] == dataset, "n_by_class"].iloc[0])


def _has_paper(metric: str, published: bool) -> bool:
    return bool(published) and metric in _OF_THE_PAPER


def _published(row: Any, settings: Settings) -> tuple[float, str]:
    """The paper's value, and the split that it is of."""
    scores = (settings.published or {}).get(row.dataset, {}).get(row.model)
    by_majority = row.decision != "mean"  # as the paper's table
    if scores is None or row.metric not in _OF_THE_PAPER or not by_majority:
        return float("nan"), ""
    return scores.accuracy if row.metric == "accuracy" else 100 * scores.f1, scores.split


def _paper(row: Any | None) -> Cell:
    return NONE if row is None or pd.isna(row.published) else published_cell(row.published, row)


def _caption(table: pd.DataFrame, settings: Settings, published: bool) -> str:
    images = table.groupby("dataset")["n"].max()
    titles = settings.dataset_titles()
    sizes = ", ".join(f"{title}: {images[name]}" for name, title in titles.items() if name in images)
    level = f"{100 * settings.confidence:g} %"
    parts = [f"Classification on the test set (images: {sizes}), with {level} confidence intervals."]
    if several := several_seeds(table):
        parts.append(several)
    if (table["family"] == "diffusion").any():
        parts.append("Diffusion models decide by majority of the steps' votes or by the lowest mean error.")
    if published:
        parts.append(
            "Paper: published value (of diffusion models by majority) and, in brackets, ours minus published "
            "in percentage points, with the interval that our own value leaves; the published value has a "
            "sampling error too, which is not known."
        )
        if (table["published_split"] == "valid").any():
            parts.append(VALIDATION_WORDS)
    if other := [titles[name] for name in settings.other_splits]:
        parts.append(
            f"The splits of {' and '.join(other)} are not the paper's: its values are of other images."
        )
    for name, words in settings.augmentation.items():
        parts.append(
            f"On {titles[name]} training images were not changed at random in the same way for all models "
            f"({words})."
        )
    of_classes = {name: _sizes(table, name) for name in titles if name in images}
    every = any(is_unequal(of) for of in of_classes.values())
    shown = {name: titles[name] for name in of_classes}
    parts += class_words(tuple(SHOWN) if every else _OF_THE_PAPER, shown, settings.classes)
    parts += balance_words(of_classes, titles, settings.classes)
    parts.append("The best value of each column is bold.")
    return " ".join(parts)


ARTIFACT = Table("Making the classification table", CAPTION, Settings, plan, make)
