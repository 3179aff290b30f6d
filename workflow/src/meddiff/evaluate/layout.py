"""What the tables have in common: order of rows, row titles, averages over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluate.recovered import limits_over_seeds, replicates
from meddiff.evaluate.render import Grid
from meddiff.evaluate.settings import DECISION_TITLES, Layout

DECISION_ORDER = list(DECISION_TITLES)
RESULT_KEYS = ["dataset", "model", "decision", "metric"]
_LIMITS = ["ci_low", "ci_high"]
_SHARES = {"accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc", "ece"}
_SHARES |= {"accuracy_rule_right", "accuracy_rule_wrong", "validity", "validity_oracle", "control"}
_SHARES |= {"control_oracle", "changed_share", "change_inside_lesion", "lesion_area"}
_OTHER_RANGES = dict.fromkeys(("cue_gap", "target_gain", "target_gain_oracle", "ssim"), (-1.0, 1.0))
_OTHER_RANGES |= dict.fromkeys(("kid", "kid_halves", "kid_source"), (-np.inf, np.inf))

_SEVERAL_SEEDS = (
    "Mean over seeds ± standard deviation between seeds; the interval is that of the mean for other images "
    "and other seeds, and very wide for two seeds, which say little of how far seeds differ."
)
_SEVERAL_OF_BOTH = (
    " Of a diffusion model each seed is a training, and its value the mean over {votes} vote seeds, which "
    "are those of the noise that images are scored with."
)
_SEVERAL_VOTES = (
    "Of a diffusion model: mean over {votes} vote seeds, which are those of the noise that images are scored "
    "with, of one training ± standard deviation between them; the interval is that of the mean for other "
    "images and other vote seeds, not for other trainings, and very wide for two vote seeds."
)


VALIDATION_MARK = "*"
VALIDATION_WORDS = (
    f"{VALIDATION_MARK} of the validation images, on which the published code evaluates this model, so it is "
    "not compared."
)


def with_preset(grids: Sequence[Grid], settings: Layout, *, beside_published: bool = False) -> list[Grid]:
    """`grids` whose captions say which preset their models have; as they are where none is named.

    Args:
        grids: all grids of a table.
        settings: its layout.
        beside_published: whether the paper's values are in them.
    """
    if settings.preset is None:
        return list(grids)
    if settings.preset == "official":
        weights = ", with the weights that the authors released" * settings.released
        words = f"Preset official: as the published code does it, known faults included{weights}."
    else:
        further = ", so the paper's values are of a procedure that differs on purpose" * beside_published
        words = f"Preset fixed: known faults of the published code are corrected{further}."
    return [replace(grid, caption=f"{grid.caption} {words}") for grid in grids]


def several_seeds(table: pd.DataFrame) -> str:
    """What a caption says of means over seeds, if there are some.

    Args:
        table: with columns seeds and votes, as of `over_seeds`.
    """
    trainings, votes = int(table["seeds"].max()), vote_seeds(table)
    if trainings > 1:
        return _SEVERAL_SEEDS + _SEVERAL_OF_BOTH.format(votes=votes) * (votes > 1)
    return _SEVERAL_VOTES.format(votes=votes) if votes > 1 else ""


def vote_seeds(table: pd.DataFrame) -> int:
    """The number of vote seeds of a training, 0 without votes, from a table with that column."""
    most = pd.to_numeric(table["votes"]).max()
    return 0 if pd.isna(most) else int(most)


def over_seeds(metrics: pd.DataFrame, confidence: float, keys: Sequence[str] = RESULT_KEYS) -> pd.DataFrame:
    """Tidy metrics averaged over seeds.

    Args:
        metrics: columns `keys` (metric among them), seed, value, ci_low, ci_high, n; votes (vote seed) where
            a training may have several results.
        confidence: of the limits.
        keys: what a result is of.

    Returns:
        One row per value of `keys`: `value` (mean of the seeds that have one, and of each over its vote
        seeds), `ci_low` and `ci_high` (limits of that mean for other images and seeds, see
        `meddiff.evaluate.recovered`; the runs share their images, and the mean of their limits is that of
        the images alone if all err on the same), `sd` (standard deviation between seeds, or between the
        vote seeds of a single one; NaN where there is one value), `seeds` (their number), `votes` (number
        of vote seeds of each, missing without votes), `n` and `n_largest` (the fewest and the most images
        of a run).
    """
    metrics = metrics if "votes" in metrics else metrics.assign(votes=pd.NA)
    grouped = metrics.groupby(list(keys), sort=False)
    table = grouped.agg(
        value=("value", "mean"),
        ci_low=("ci_low", "mean"),
        ci_high=("ci_high", "mean"),
        sd=("value", "std"),
        seeds=("seed", "nunique"),
        votes=("votes", "count"),
        n=("n", "min"),
        n_largest=("n", "max"),
    ).reset_index()
    table["votes"] = (table["votes"] // table["seeds"]).where(table["votes"] > 0).astype("Int64")
    several = table.index[table["sd"].notna()]
    parts = {key: part[part["value"].notna()] for key, part in grouped} if len(several) else {}
    for row in several:
        part = parts[tuple(table.loc[row, list(keys)])]
        values = replicates(part["value"].to_numpy(), part["seed"].tolist())
        if len(values) < len(part):
            table.loc[row, ["value", "sd"]] = [values.mean(), values.std(ddof=1)]
        low, high = limits_over_seeds(values, tuple(table.loc[row, _LIMITS]), confidence)
        table.loc[row, _LIMITS] = np.clip([low, high], *_range(str(table.loc[row, "metric"])))
    return table


def image_count(row: Any) -> str:
    """How many images a row of `over_seeds` is of: a number, or the fewest and the most of a seed."""
    return str(row.n) if row.n == row.n_largest else f"{row.n}–{row.n_largest}"


def _range(metric: str) -> tuple[float, float]:
    """What values a metric can have."""
    return (0.0, 1.0) if metric in _SHARES else _OTHER_RANGES.get(metric, (0.0, np.inf))


def in_layout_order(table: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """`table` sorted by dataset, model and decision as in the layout, then by seeds if it has them."""
    ranks = {
        "dataset": {name: i for i, name in enumerate(layout.dataset_titles())},
        "model": {name: i for i, name in enumerate(layout.model_titles())},
        "decision": {name: i for i, name in enumerate(DECISION_ORDER)},
    }
    # In a table of means `votes` is a number of them.
    keys = [*ranks, *(column for column in ("seed", "votes") if {"seed", column} <= {*table.columns})]
    return table.sort_values(
        keys,
        key=lambda column: column.map(ranks[column.name]) if column.name in ranks else column,
        kind="stable",
    ).reset_index(drop=True)


def rows_of(table: pd.DataFrame, models: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs (model, decision) that `table` has, in the order of `models` and of the decisions."""
    there = set(zip(table["model"], table["decision"], strict=True))
    return [
        (model, decision) for model in models for decision in DECISION_ORDER if (model, decision) in there
    ]


def row_title(model: str, decision: str, layout: Layout) -> str:
    """Title of a model, with the decision rule where a model has several."""
    title = layout.model_titles()[model]
    return title if decision == "softmax" else f"{title} ({DECISION_TITLES[decision]})"


def signed(value: float) -> str:
    """One decimal with a sign, except for zero."""
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text
