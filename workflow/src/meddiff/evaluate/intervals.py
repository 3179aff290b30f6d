"""Confidence intervals of the metrics of one predictions table.

Shares (accuracy, and of two classes precision, recall and F1, which is 2 J / (1 + J) of the share J of true
positives among the images that are or are said to be of class 1) have the interval of a share. Other metrics
within [0, 1] have their variance from the bootstrap over groups and are then treated as a share that has this
variance (`meddiff.evaluate.proportion`), which bounds them where all images are right and no resample can
vary. NLL has no bound: its percentile interval knows nothing of errors that the sample lacks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from meddiff.evaluate import predictions as tables
from meddiff.evaluate.metrics import AURC
from meddiff.evaluate.proportion import Sample, bounded_interval, share_interval
from meddiff.evaluate.statistics import percentile_interval

Interval = tuple[float, float]

# Weights of errors in the mean of risks over coverages are sums of 1/k: their mean is 1, of their squares 2.
AURC_SQUARES = 2.0
_CLASS_MEANS = ("balanced_accuracy", "precision", "recall", "f1")


def metric_intervals(
    table: pd.DataFrame, values: Mapping[str, float], draws: Mapping[str, np.ndarray], confidence: float
) -> dict[str, Interval]:
    """Metric -> lower and upper limit, for every metric of `values`; NaN where it is undefined.

    Args:
        table: a predictions table.
        values: metric -> value, as of `meddiff.evaluate.metrics.point_metrics` or some of them.
        draws: metric -> [B] its values in resamples of groups; needed but for shares.
        confidence: e.g. .95.
    """
    found = _Intervals(table, confidence)
    return {
        name: found.of(name, value, draws.get(name)) if np.isfinite(value) else (np.nan, np.nan)
        for name, value in values.items()
    }


class _Intervals:
    """What the intervals of one table have in common."""

    def __init__(self, table: pd.DataFrame, confidence: float) -> None:
        self._label, self._predicted = table["label"].to_numpy(), table["prediction"].to_numpy()
        self._groups, self._confidence = table["group"].to_numpy(), confidence
        self._correct = tables.is_correct(table)
        self._classes = tables.probabilities(table).shape[1]
        self._sample = Sample.of(self._groups)
        self._sizes = np.bincount(self._label, minlength=self._classes).astype(np.float64)

    def of(self, name: str, value: float, draws: np.ndarray | None) -> Interval:
        """Limits of one metric."""
        if name == "accuracy":
            return self._share(np.ones(len(self._label), dtype=bool))
        if self._classes == 2 and name in ("precision", "recall", "f1"):
            of_class, decided = self._label == 1, self._predicted == 1
            if name == "f1":
                low, high = self._share(of_class | decided)
                return 2 * low / (1 + low), 2 * high / (1 + high)
            return self._share(of_class if name == "recall" else decided)
        if draws is None:
            raise ValueError(f"the interval of {name} needs its bootstrap values")
        if name == "nll":
            low, high = percentile_interval(draws, self._confidence)
            return float(low), float(high)
        return self._bounded(name, value, draws)

    def _share(self, among: np.ndarray) -> Interval:
        """Of the images that are right among some of them."""
        low, high = share_interval(self._correct[among], self._groups[among], self._confidence)
        return float(low), float(high)

    def _bounded(self, name: str, value: float, draws: np.ndarray) -> Interval:
        # With K > 2 the Brier score is within [0, 2].
        scale = 2.0 if name == "brier" and self._classes > 2 else 1.0
        options: dict[str, float] = {}
        if name in _CLASS_MEANS:
            most = equal_share_of_classes(self._sizes)
            options["worst"] = most / (self._classes * max(self._sizes.min(), 1.0))
        elif name == "auroc":
            # The formula is for scores with long tails; the variance of others may be well below it.
            most, options = _pairs_worth(value, self._sizes), {"smallest_effect": 0.0}
        else:  # means of small numbers: few errors say that such images are too rare to judge
            most = len(self._label) / (AURC_SQUARES if name.startswith(AURC) else 1.0)
            options = {"rare": float(1 - self._correct.mean()), "smallest_effect": 0.0}
        variance = self._sample.bootstrap_variance(draws) / scale**2
        low, high = bounded_interval(value / scale, variance, most, self._sample, self._confidence, **options)
        return scale * float(low), scale * float(high)


def equal_share_of_classes(sizes: np.ndarray) -> float:
    """Images that a mean of class shares is worth: K^2 / (sum of 1 / n_k), n for K classes of n / K each."""
    return float(len(sizes) ** 2 / (1 / np.maximum(sizes, 1.0)).sum())


def _pairs_worth(value: float, sizes: np.ndarray) -> float:
    """Images that an AUROC is worth, the mean of one-versus-rest for K > 2.

    From Hanley & McNeil's variance with both sizes equal to their mean (Newcombe 2006, Stat. Med. 25, method
    5), which no resample gives where all pairs are in order. The same images are in the AUROC of every class:
    a mean of them is worth no more than one.
    """
    positives = sizes[1:] if len(sizes) == 2 else sizes
    negatives = np.maximum(sizes.sum() - positives, 1.0)
    positives = np.maximum(positives, 1.0)
    further = (positives + negatives) / 2 - 1
    spread = 1 + further * ((1 - value) / (2 - value) + value / (1 + value))
    return float(len(positives) / (spread / (positives * negatives)).sum())
