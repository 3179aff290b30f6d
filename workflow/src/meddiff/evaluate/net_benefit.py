"""Net benefit of acting on a probability: decision curves of two classes (Vickers & Elkin 2006).

Who acts (treats, refers) from a probability t on accepts (1 - t) / t needless actions for one that is needed.
So an image that is rightly acted on counts 1, and one that is wrongly acted on -t / (1 - t); the net benefit
is their mean over all images. A classifier is of use at t where it has more than acting on all images and
than acting on none, which has 0. Probabilities should be calibrated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meddiff.evaluate.over_seeds import by_seeds, counts, limits_over_seeds, replicates, same_images
from meddiff.evaluate.statistics import Resampling, bootstrap, percentile_interval
from meddiff.runs import Run

ALL, NONE = "(all)", "(none)"  # no model has these names: brackets are not allowed in names
THRESHOLDS_PERCENT = np.arange(1, 100)
COLUMNS = ["dataset", "model", "decision", "threshold_percent", "net_benefit", "ci_low", "ci_high"]
COLUMNS += ["seeds", "votes", "images"]


class NetBenefit:
    """The net benefit of probabilities as a function of image weights."""

    def __init__(
        self, p: ArrayLike, positive: ArrayLike, thresholds: ArrayLike, prevalence: float | None = None
    ) -> None:
        """Find out who is acted on.

        Args:
            p: [I] probability of the positive class.
            positive: [I] bool.
            thresholds: [T] within (0, 1); images of this probability or a higher one are acted on.
            prevalence: share of positive images where the probabilities are used; that of the images if None.
        """
        self._odds = np.asarray(thresholds) / (1 - np.asarray(thresholds))
        self._acted = (np.asarray(p, dtype=np.float64)[:, None] >= thresholds).astype(np.float64)
        self._positive, self._prevalence = np.asarray(positive, dtype=bool), prevalence

    def __call__(self, weights: ArrayLike) -> NDArray[np.float64]:
        """[B, T] net benefits for weights [B, I]; with a prevalence NaN where a kind of images is missing."""
        real = np.asarray(weights, dtype=np.float64)
        rightly, wrongly = (real[:, kind] @ self._acted[kind] for kind in (self._positive, ~self._positive))
        if self._prevalence is None:
            return (rightly - self._odds * wrongly) / real.sum(axis=1, keepdims=True)
        positives = real[:, self._positive].sum(axis=1, keepdims=True)
        negatives = real.sum(axis=1, keepdims=True) - positives
        with np.errstate(invalid="ignore", divide="ignore"):
            sensitivity, false = rightly / positives, wrongly / negatives
        return self._prevalence * sensitivity - (1 - self._prevalence) * self._odds * false


def decision_curves(
    runs: Iterable[tuple[Run, pd.DataFrame]],
    resampling: Resampling,
    prevalence: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Net benefit of every model, of acting on all images and on none, at `THRESHOLDS_PERCENT`.

    Args:
        runs: each with a table of image_id, group, positive (bool) and p (probability of the positive class).
        resampling: how intervals are made, which are for other images and seeds.
        prevalence: dataset -> share of positive images where the probabilities are used, where that is
            another one than among the images.

    Returns:
        Columns `COLUMNS`, for each dataset its models as they come and then `ALL` and `NONE` (whose decision
        is empty). Net benefit is per image; seeds (trainings), votes (vote seeds of each; NaN where there are
        no votes).

    Raises:
        DataError: if the runs of a model differ in images.
    """
    ordered = [(run, table.sort_values("image_id", ignore_index=True)) for run, table in runs]
    rows, anyone, shares = [], {}, prevalence or {}
    for (dataset, model, decision), (trainings, seeds) in by_seeds(
        ordered, "dataset", "model", "decision"
    ).items():
        what = f"decision curve of {model} on {dataset}"
        same_images(what, [seed["image_id"].to_numpy() for seed in seeds])
        anyone.setdefault(dataset, seeds[0])
        number, votes = counts(trainings)
        votes = np.nan if decision == "softmax" else votes
        curve = _curve([(s["p"], s) for s in seeds], trainings, resampling, shares.get(dataset))
        rows += [[dataset, model, decision, *row, number, votes, len(seeds[0])] for row in curve]
    for dataset, table in anyone.items():
        for name, p in ((ALL, np.ones(len(table))), (NONE, np.zeros(len(table)))):
            curve = _curve([(p, table)], [0], resampling, shares.get(dataset))
            rows += [[dataset, name, "", *row, np.nan, np.nan, len(table)] for row in curve]
    return pd.DataFrame(rows, columns=COLUMNS)


def _curve(
    seeds: list[tuple[ArrayLike, pd.DataFrame]],
    trainings: list[int],
    resampling: Resampling,
    prevalence: float | None,
) -> Iterable[tuple[float, ...]]:
    """Threshold in percent, net benefit and its limits, of probabilities with the images they are of."""
    t, groups = THRESHOLDS_PERCENT / 100, seeds[0][1]["group"]
    curves = [NetBenefit(p, table["positive"], t, prevalence) for p, table in seeds]

    def average(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"net benefit": np.mean([curve(weights) for curve in curves], axis=0)}

    found = np.concatenate([curve(np.ones((1, len(groups)))) for curve in curves])
    draws = bootstrap(average, groups, resampling)["net benefit"]
    limits = percentile_interval(draws, resampling.confidence)
    low, high = limits_over_seeds(replicates(found, trainings), limits, resampling.confidence)
    low, high = np.maximum(low, -t / (1 - t)), np.minimum(high, 1.0)
    return zip(THRESHOLDS_PERCENT.tolist(), found.mean(axis=0), low, high, strict=True)
