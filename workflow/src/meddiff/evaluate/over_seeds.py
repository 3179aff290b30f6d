"""Means of tidy metrics over seeds of training and of votes, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from meddiff.evaluate.recovered import limits_over_seeds, replicates

RESULT_KEYS = ["dataset", "model", "decision", "metric"]
_LIMITS = ["ci_low", "ci_high"]
_SHARES = {"accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc", "ece"}
_SHARES |= {"accuracy_rule_right", "accuracy_rule_wrong", "validity", "validity_oracle", "control"}
_SHARES |= {"control_oracle", "changed_share", "change_inside_lesion", "lesion_area"}
_OTHER_RANGES = dict.fromkeys(("cue_gap", "target_gain", "target_gain_oracle", "ssim"), (-1.0, 1.0))
_OTHER_RANGES |= dict.fromkeys(("kid", "kid_halves", "kid_source"), (-np.inf, np.inf))


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


def _range(metric: str) -> tuple[float, float]:
    """What values a metric can have."""
    return (0.0, 1.0) if metric in _SHARES else _OTHER_RANGES.get(metric, (0.0, np.inf))
