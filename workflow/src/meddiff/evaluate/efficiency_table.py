"""The table of what fewer classification steps cost, for reading."""

from __future__ import annotations

from typing import Any

import pandas as pd

from meddiff.artifacts.layout import row_title, rows_of, signed, vote_seeds
from meddiff.artifacts.render import Block, Cell, Column, Grid
from meddiff.evaluate.efficiency_limits import METRICS
from meddiff.evaluate.replay import EXACT, FIRST, SEQUENTIAL, SPREAD, WEIGHTED
from meddiff.evaluate.settings import EfficiencySettings

_TITLES = {"accuracy": "Accuracy (%)", "agreement": "Agreement (%)", "aurc": "AURC", "ece": "ECE"}
_KEYS = ["levels", "rule", "setting"]


def efficiency_grids(table: pd.DataFrame, settings: EfficiencySettings) -> list[Grid]:
    """One grid a dataset, one block a model and decision.

    Args:
        table: as `meddiff.evaluate.efficiency.efficiency` returns it.
    """
    titles = settings.dataset_titles()
    return [
        _grid(dataset, titles[dataset], part, settings)
        for dataset, part in table.groupby("dataset", sort=False)
    ]


def _grid(dataset: str, title: str, table: pd.DataFrame, settings: EfficiencySettings) -> Grid:
    blocks = []
    for model, decision in rows_of(table, list(settings.model_titles())):
        part = table[(table["model"] == model) & (table["decision"] == decision)]
        own = table.loc[table["model"] == model, "levels"].iloc[0]
        full = part.loc[(part["rule"] == FIRST) & (part["levels"] == own), "setting"].max()
        groups = part.groupby(_KEYS, sort=False, dropna=False)
        rows = [_line(rows.set_index("metric"), full, own) for _, rows in groups]
        blocks.append(Block(row_title(model, decision, settings), rows))
    level = f"{100 * settings.confidence:g} %"
    runs = ["seeds"] * bool(table["seeds"].max() > 1) + ["vote seeds"] * (vote_seeds(table) > 1)
    seeds = f", mean over {' and '.join(runs)}" * bool(runs)
    caption = (
        f"Fewer classification steps on {title}: test set, {level} confidence intervals{seeds}; in brackets "
        "behind accuracy, AURC and ECE the difference to all steps with its paired interval. Steps: mean "
        "over images; each takes one network pass a class. Agreement: share of images decided as by all "
        f"steps. {_stopping(table)} AURC and ECE (calibration error): lower is better; they use vote shares, "
        "or the softmax of mean errors, and of an image that stopped the shares to be expected of all steps "
        "(smoothed once, by half a vote a class)."
    )
    if table["decision"].isin(WEIGHTED).any():
        caption += " Weights of noise levels are fitted on the validation split."
    columns = [Column("Procedure"), Column("Steps"), Column("fewer by"), *map(Column, _TITLES.values())]
    return Grid(caption, f"efficiency_{dataset}", columns, blocks)


def _stopping(table: pd.DataFrame) -> str:
    """What stops an image, and what its δ promises, for the procedures that are there."""
    said = ["Exact: until the majority cannot change."] if (table["rule"] == EXACT).any() else []
    rows = table[table["rule"].isin([SEQUENTIAL, SPREAD])]
    if rows.empty:
        return " ".join(said)
    said.append("Sequential: until another outcome is unlikely.")
    votes = (rows["decision"] == "majority") & (rows["levels"] == "uniform")
    bounded = votes & (rows["rule"] == SEQUENTIAL)
    if bounded.any():
        said.append(
            "By majority, with steps in the order drawn, an image is decided otherwise than by all steps "
            "with a probability of at most δ."
        )
    where = {
        "with noise levels that are not independent draws": ~(rows["levels"] == "uniform"),
        "in spread order": rows["rule"] == SPREAD,
        "by mean error, for which the rule takes differences of errors to be normal": rows["decision"]
        == "mean",
    }
    if loose := [words for words, here in where.items() if here.any()]:
        said.append(
            f"δ is no bound {' nor '.join(loose)}: there, the column of agreement says what it costs."
        )
    return " ".join(said)


def _line(metrics: pd.DataFrame, full: float, own: str) -> list[Cell]:
    any_metric = metrics.iloc[0]
    of_all = any_metric["rule"] == FIRST and any_metric["setting"] == full and any_metric["levels"] == own
    is_full = of_all and any_metric["decision"] not in WEIGHTED
    steps = any_metric["steps"]
    interval = f"[{any_metric['steps_ci_low']:.1f}, {any_metric['steps_ci_high']:.1f}]"
    cells = [
        Cell(_procedure(any_metric, full, own)),
        Cell(f"{steps:.0f}") if any_metric["rule"] == FIRST else Cell(f"{steps:.1f}", interval),
        Cell(f"{full / steps:.1f}×"),
    ]
    return cells + [_value(metrics.loc[name], name, is_full) for name in METRICS]


def _procedure(row: Any, full: float, own: str) -> str:
    if row["rule"] == EXACT:
        return "exact"
    if row["rule"] == SEQUENTIAL:
        return f"sequential, δ = {row['setting']:g}"
    if row["rule"] == SPREAD:
        return f"sequential, spread order, δ = {row['setting']:g}"
    number = f"{row['setting']:g}"
    levels = "" if row["levels"] == own else f", {row['levels'].replace('_', ' ')}"
    return (f"all {number} steps" if row["setting"] == full else f"first {number}") + levels


def _value(row: Any, metric: str, is_full: bool) -> Cell:
    percent = metric in ("accuracy", "agreement")
    scale, form = (100, ".1f") if percent else (1, ".3f")
    value = f"{scale * row['value']:{form}}"
    if is_full or metric == "agreement":
        return Cell(value, f"[{scale * row['ci_low']:{form}}, {scale * row['ci_high']:{form}}]")
    names = ("difference", "difference_ci_low", "difference_ci_high")
    middle, low, high = (_signed(scale * row[name], form) for name in names)
    return Cell(value, f"({middle} [{low}, {high}])")


def _signed(value: float, form: str) -> str:
    if form == ".1f":
        return signed(value)
    text = f"{value:+{form}}".replace("-", "−")
    return text[1:] if float(f"{value:{form}}") == 0 else text
