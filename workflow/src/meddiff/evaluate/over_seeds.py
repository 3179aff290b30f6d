"""Means over seeds of training and of votes, with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from meddiff.errors import DataError
from meddiff.evaluate.metrics.catalogue import THRESHOLD, find
from meddiff.evaluate.statistics import Floats, Limits
from meddiff.runs import TrainedRun

RESULT_KEYS = ["dataset", "model", "decision", "metric"]
_LIMITS = ["ci_low", "ci_high"]
# Of what is no metric of predictions (`meddiff.evaluate.metrics.catalogue`); distances are 0 or more.
_SHARES = {"accuracy_rule_right", "accuracy_rule_wrong", "validity", "validity_oracle", "control"}
_SHARES |= {THRESHOLD, "control_oracle", "changed_share", "change_inside_lesion", "lesion_area"}
_SHARES |= {"pointing", "iou", "inside"}
_OTHER_RANGES = dict.fromkeys(("cue_gap", "target_gain", "target_gain_oracle", "ssim"), (-1.0, 1.0))
_OTHER_RANGES |= dict.fromkeys(
    ("pointing_gain", "iou_gain", "inside_gain", "average_precision_gain"), (-1.0, 1.0)
)
_OTHER_RANGES |= dict.fromkeys(("kid", "kid_halves", "kid_source"), (-np.inf, np.inf))

T = TypeVar("T")


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
        `limits_over_seeds`; the runs share their images, and the mean of their limits is that of
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
        table.loc[row, _LIMITS] = np.clip([low, high], *possible_range(str(table.loc[row, "metric"])))
    return table


def possible_range(metric: str) -> tuple[float, float]:
    """What values a metric can have."""
    if listed := find(metric):
        return listed.range
    return (0.0, 1.0) if metric in _SHARES else _OTHER_RANGES.get(metric, (0.0, np.inf))


def replicates(values: ArrayLike, seeds: Sequence[int]) -> Floats:
    """What `limits_over_seeds` takes as the values of seeds, where a training may have several vote seeds.

    With several trainings these are the mean of each over its vote seeds: the votes of one training are no
    further trainings, and what they differ by is in these means, too. With one training they are its vote
    seeds, and what is said of them is not said of other trainings.

    Args:
        values: [R, ...] value of each run, a pair of training and vote seed.
        seeds: [R] seed of its training.

    Returns:
        [S, ...], in the order in which the trainings come.
    """
    values = np.asarray(values, dtype=np.float64)
    trainings = list(dict.fromkeys(seeds))
    if len(trainings) < 2:
        return values
    return np.stack([values[np.asarray(seeds) == seed].mean(axis=0) for seed in trainings])


def limits_over_seeds(values: ArrayLike, limits: Limits, confidence: float) -> Limits:
    """Limits of a mean over seeds, for other images and for other seeds.

    What the images leave open and what the seeds leave open (Student's t of the seeds' values) are added as
    variances on each side of its own (MOVER, see `meddiff.evaluate.statistics.difference_limits`). The
    differences between the seeds come from these images, so a part of the first is in the second, too: the
    limits are rather too wide. With two seeds they are very wide: two values say little of their spread.

    Args:
        values: [S, ...] value of each seed.
        limits: lower and upper limit [...] of their mean on account of the images alone.
        confidence: of `limits`.
    """
    values = np.asarray(values, dtype=np.float64)
    seeds, mean = len(values), values.mean(axis=0)
    if seeds < 2:
        return np.asarray(limits[0], dtype=np.float64), np.asarray(limits[1], dtype=np.float64)
    half = stdtrit(seeds - 1, (1 + confidence) / 2) * values.std(axis=0, ddof=1) / np.sqrt(seeds)
    return mean - np.hypot(mean - limits[0], half), mean + np.hypot(limits[1] - mean, half)


def by_seeds(
    runs: Iterable[tuple[TrainedRun, T]], *fields: str
) -> dict[tuple[str, ...], tuple[list[int], list[T]]]:
    """By the values of `fields` of a run, as they come: the seeds of training, and what each run has."""
    found: dict[tuple[str, ...], tuple[list[int], list[T]]] = {}
    for run, value in runs:
        trainings, values = found.setdefault(tuple(getattr(run, name) for name in fields), ([], []))
        trainings.append(run.seed)
        values.append(value)
    return found


def counts(trainings: Sequence[int]) -> tuple[int, int]:
    """Number of trainings and of vote seeds of each, from the seed of training of every run."""
    number = len(set(trainings))
    return number, len(trainings) // number


def same_images(what: str, ids: list[np.ndarray]) -> None:
    """Check that all seeds have the same image ids, in the same order.

    Raises:
        DataError: naming `what`, if not.
    """
    if any(not np.array_equal(ids[0], other) for other in ids[1:]):
        raise DataError(f"{what}: the seeds were scored on different images; score them again")


def one_value(values: set[T], problem: str) -> T:
    """The only one of `values`.

    Raises:
        DataError: with `problem`, if there are others.
    """
    if len(values) != 1:
        raise DataError(f"{problem} {sorted(values)}; make them again with the same settings")
    return values.pop()
