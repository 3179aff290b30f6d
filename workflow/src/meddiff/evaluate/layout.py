"""What the tables have in common: order of rows, row titles, averages over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from meddiff.evaluate.settings import DECISION_TITLES, Layout

DECISION_ORDER = list(DECISION_TITLES)
RESULT_KEYS = ["dataset", "model", "decision", "metric"]


def over_seeds(metrics: pd.DataFrame, keys: Sequence[str] = RESULT_KEYS) -> pd.DataFrame:
    """Tidy metrics averaged over seeds.

    Args:
        metrics: columns `keys`, seed, value, ci_low, ci_high, n.
        keys: what a result is of.

    Returns:
        One row per value of `keys`: `value` (mean), `ci_low` and `ci_high` (means of
        the seeds' limits: the interval of one seed over images), `sd` (standard deviation between seeds,
        NaN for one), `seeds` (their number), `n` (images).
    """
    grouped = metrics.groupby(list(keys), sort=False)
    return grouped.agg(
        value=("value", "mean"),
        ci_low=("ci_low", "mean"),
        ci_high=("ci_high", "mean"),
        sd=("value", "std"),
        seeds=("seed", "nunique"),
        n=("n", "max"),
    ).reset_index()


def in_layout_order(table: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """`table` sorted by dataset, model and decision as in the layout, then by seed if it has that column."""
    ranks = {
        "dataset": {name: i for i, name in enumerate(layout.dataset_titles())},
        "model": {name: i for i, name in enumerate(layout.model_titles())},
        "decision": {name: i for i, name in enumerate(DECISION_ORDER)},
    }
    keys = [*ranks, *(["seed"] if "seed" in table else [])]
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
