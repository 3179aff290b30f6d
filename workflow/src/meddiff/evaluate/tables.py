"""The tables of metrics: classification (the paper's) and all metrics.

Each table is made in two steps: a tidy data frame, which is what the CSV holds, and a `Grid` of it for
reading.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from meddiff.artifacts.class_words import class_words
from meddiff.artifacts.layout import (
    VALIDATION_MARK,
    VALIDATION_WORDS,
    in_layout_order,
    row_title,
    rows_of,
    several_seeds,
    signed,
)
from meddiff.artifacts.render import Block, Cell, Column, Grid
from meddiff.artifacts.settings import FAMILY_TITLES
from meddiff.evaluate.class_balance import Sizes, from_text, is_unequal, most_frequent_share, sentences
from meddiff.evaluate.over_seeds import RESULT_KEYS, over_seeds
from meddiff.evaluate.settings import ClassificationSettings, OverviewSettings

SHOWN = {
    "accuracy": "Accuracy (%)",
    "f1": "F1 (%)",
    "balanced_accuracy": "Balanced acc. (%)",
    "auroc": "AUROC (%)",
}
_OF_THE_PAPER = ("accuracy", "f1")
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
_NONE = Cell("–")


def classification(metrics: pd.DataFrame, settings: ClassificationSettings) -> pd.DataFrame:
    """The metrics `SHOWN` of every model, in percent, with the published values where there are any.

    Returns:
        Columns dataset, family, model, decision, metric, value, ci_low, ci_high, sd, seeds, votes, n,
        n_largest, n_by_class, published, published_split (whose images it is of), difference (ours minus
        published, where that is of the test images), difference_ci_low, difference_ci_high (our interval
        minus published, which is taken as exact); rows in the order of the layout.
    """
    table = over_seeds(metrics[metrics["metric"].isin(SHOWN)], settings.confidence)
    percent = ["value", "ci_low", "ci_high", "sd"]
    table[percent] *= 100
    sizes = metrics.groupby("dataset")["n_by_class"].first()
    table["n_by_class"] = table["dataset"].map(sizes)
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


def classification_grid(table: pd.DataFrame, settings: ClassificationSettings) -> Grid:
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
                    line.append(_percent_cell(row, best[entry.name, metric]) if row else _NONE)
                    if _has_paper(metric, with_published[entry.name]):
                        line.append(_published_cell(row))
            rows.append(line)
        blocks += [Block(title, rows)] if rows else []
    return Grid(
        _classification_caption(table, settings, any(with_published.values())),
        "classification",
        columns,
        blocks,
    )


def overview_grid(metrics: pd.DataFrame, settings: OverviewSettings) -> Grid:
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


def _sizes(table: pd.DataFrame, dataset: str) -> Sizes:
    return from_text(table.loc[table["dataset"] == dataset, "n_by_class"].iloc[0])


def _has_paper(metric: str, published: bool) -> bool:
    return bool(published) and metric in _OF_THE_PAPER


def _published(row: Any, settings: ClassificationSettings) -> tuple[float, str]:
    """The paper's value, and the split that it is of."""
    scores = (settings.published or {}).get(row.dataset, {}).get(row.model)
    by_majority = row.decision != "mean"  # as the paper's table
    if scores is None or row.metric not in _OF_THE_PAPER or not by_majority:
        return float("nan"), ""
    return scores.accuracy if row.metric == "accuracy" else 100 * scores.f1, scores.split


def _percent_cell(row: Any, best: str) -> Cell:
    if pd.isna(row.value):
        return _NONE
    spread = "" if pd.isna(row.sd) else f"± {row.sd:.1f} "
    return Cell(
        f"{row.value:.1f}", f"{spread}[{row.ci_low:.1f}, {row.ci_high:.1f}]", f"{row.value:.1f}" == best
    )


def _published_cell(row: Any | None) -> Cell:
    if row is None or pd.isna(row.published):
        return _NONE
    if row.published_split == "valid":
        return Cell(f"{row.published:.1f}{VALIDATION_MARK}")
    if pd.isna(row.difference):
        return Cell(f"{row.published:.1f}")
    interval = f"[{signed(row.difference_ci_low)}, {signed(row.difference_ci_high)}]"
    return Cell(f"{row.published:.1f}", f"({signed(row.difference)} {interval})")


def _number_cell(value: float | None) -> Cell:
    return _NONE if value is None or pd.isna(value) else Cell(f"{value:.3f}")


def _classification_caption(table: pd.DataFrame, settings: ClassificationSettings, published: bool) -> str:
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
    class_sizes = {name: _sizes(table, name) for name in titles if name in images}
    every = any(is_unequal(of) for of in class_sizes.values())
    shown = {name: titles[name] for name in class_sizes}
    parts += class_words(tuple(SHOWN) if every else _OF_THE_PAPER, shown, settings.classes)
    parts += sentences(class_sizes, titles, settings.classes)
    parts.append("The best value of each column is bold.")
    return " ".join(parts)
