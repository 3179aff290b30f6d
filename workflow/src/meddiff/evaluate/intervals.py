"""Confidence intervals of the metrics of one predictions table.

Shares (accuracy, and of two classes precision, recall and F1, which follows from one) have the interval of a
share. Other metrics with bounds have their variance from the bootstrap over groups and are then treated as a
share that has this variance (`meddiff.evaluate.proportion`), which bounds them where all images are right and
no resample can vary. NLL, calibration slope and intercept have no bound: their percentile intervals know
nothing of errors that the sample lacks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from meddiff.evaluate.metrics.catalogue import Metric, find
from meddiff.evaluate.metrics.images import Images
from meddiff.evaluate.proportion import Sample, bounded_interval, share_interval
from meddiff.evaluate.statistics import percentile_interval

Interval = tuple[float, float]


def metric_intervals(
    images: Images, values: Mapping[str, float], draws: Mapping[str, np.ndarray], confidence: float
) -> dict[str, Interval]:
    """Metric -> lower and upper limit, for every metric of `values`; NaN where it is undefined.

    Args:
        images: those of a predictions table.
        values: metric -> value, as of `meddiff.evaluate.metrics.catalogue.point_metrics` or some of them.
        draws: metric -> [B] its values in resamples of groups; needed but for shares.
        confidence: e.g. .95.
    """
    found = {False: _Intervals(images, confidence)}
    if images.calibrated is not None:
        found[True] = _Intervals(images.calibrated, confidence)
    return {
        name: found[find(name).calibrated].of(name, value, draws.get(name))
        if np.isfinite(value)
        else (np.nan, np.nan)
        for name, value in values.items()
    }


class _Intervals:
    """What the intervals of one table have in common."""

    def __init__(self, images: Images, confidence: float) -> None:
        self._images, self._confidence = images, confidence
        self._sample = Sample.of(images.groups)
        self._sizes = np.bincount(images.label, minlength=images.classes).astype(np.float64)

    def of(self, name: str, value: float, draws: np.ndarray | None) -> Interval:
        """Limits of one metric."""
        metric, images = find(name), self._images
        if (among := metric.among(images)) is not None:
            limits = share_interval(images.correct[among], images.groups[among], self._confidence)
            low, high = (metric.from_share(float(limit)) for limit in limits)
            return low, high
        if draws is None:
            raise ValueError(f"the interval of {name} needs its bootstrap values")
        if not np.isfinite(metric.limits(images.classes)).all():
            low, high = percentile_interval(draws, self._confidence)
            return float(low), float(high)
        return self._bounded(metric, value, draws)

    def _bounded(self, metric: Metric, value: float, draws: np.ndarray) -> Interval:
        least, largest = metric.limits(self._images.classes)
        scale, share = largest - least, (value - least) / (largest - least)
        options: dict[str, float] = {}
        if metric.worth == "classes":
            most = equal_share_of_classes(self._sizes)
            options["worst"] = most / (len(self._sizes) * max(self._sizes.min(), 1.0))
        elif metric.worth == "pairs":
            # The formula is for scores with long tails; the variance of others may be well below it.
            most, options = pairs_worth(value, self._sizes), {"smallest_effect": 0.0}
        elif metric.worth == "positives":
            most, options = _positives_worth(self._sizes), {"smallest_effect": 0.0}
        else:  # means of small numbers: few errors say that such images are too rare to judge
            most = len(self._images.label) / metric.squares
            options = {"rare": float(1 - self._images.correct.mean()), "smallest_effect": 0.0}
        variance = self._sample.bootstrap_variance(draws) / scale**2
        low, high = bounded_interval(share, variance, most, self._sample, self._confidence, **options)
        return least + scale * float(low), least + scale * float(high)


def equal_share_of_classes(sizes: np.ndarray) -> float:
    """Images that a mean of class shares is worth: K^2 / (sum of 1 / n_k), n for K classes of n / K each."""
    return float(len(sizes) ** 2 / (1 / np.maximum(sizes, 1.0)).sum())


def _positives_worth(sizes: np.ndarray) -> float:
    """Images that an average precision is worth: the positive ones, or their harmonic mean over classes."""
    positives = np.maximum(sizes[1:] if len(sizes) == 2 else sizes, 1.0)
    return float(len(positives) / (1 / positives).sum())


def pairs_worth(value: float, sizes: np.ndarray) -> float:
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
