"""Confidence intervals of what `meddiff.evaluate.efficiency` measures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from meddiff.evaluate.intervals import AURC_SQUARES
from meddiff.evaluate.over_seeds import limits_over_seeds
from meddiff.evaluate.proportion import Sample, bounded_interval, difference_interval, share_interval
from meddiff.evaluate.statistics import Limits, percentile_interval

METRICS = ("accuracy", "agreement", "aurc", "ece")
_STEPS, _ACCURACY, _AGREEMENT, _AURC, _ECE = range(1 + len(METRICS))


@dataclass(frozen=True)
class Replayed:
    """Steps and metrics of P procedures on the same I images, replayed for S seeds; M is 1 + 4.

    Attributes:
        points: [S, P, M] mean steps and `METRICS` of each seed.
        draws: [B, P, M] means over seeds in resamples of groups.
        shares: [2, I, P] share of the seeds that decide an image rightly, and as by all steps.
        groups: [I] group of each image.
        references: [P] index of each procedure's full run.
        certain: [P] whether the decisions are those of the full run, whatever the images.
    """

    points: np.ndarray
    draws: np.ndarray
    shares: np.ndarray
    groups: np.ndarray
    references: list[int]
    certain: np.ndarray

    @cached_property
    def _sample(self) -> Sample:
        return Sample.of(self.groups)

    def limits(self, confidence: float) -> Limits:
        """Lower and upper limits [P, M] of the means over seeds, for other images and seeds."""
        low, high = percentile_interval(self.draws, confidence)
        for column, shares in zip((_ACCURACY, _AGREEMENT), self.shares, strict=True):
            low[:, column], high[:, column] = share_interval(shares, self.groups, confidence)
        mean, variance = self.points.mean(axis=0), self._sample.bootstrap_variance(self.draws)
        images, wrong = len(self.groups), 1 - mean[:, _ACCURACY]
        for column, most in ((_AURC, images / AURC_SQUARES), (_ECE, images)):
            low[:, column], high[:, column] = bounded_interval(
                mean[:, column],
                variance[:, column],
                most,
                self._sample,
                confidence,
                rare=wrong,
                smallest_effect=0.0,
            )
        low, high = limits_over_seeds(self.points, (low, high), confidence)
        low[:, 1:], high[:, 1:] = low[:, 1:].clip(0, 1), high[:, 1:].clip(0, 1)
        low[self.certain, _AGREEMENT] = high[self.certain, _AGREEMENT] = 1.0
        return low, high

    def difference_limits(self, confidence: float) -> Limits:
        """The same of paired differences to the full runs; of AURC and ECE percentiles of the resamples."""
        low, high = percentile_interval(self.draws - self.draws[:, self.references], confidence)
        correct, agrees = self.shares
        low[:, _ACCURACY], high[:, _ACCURACY] = difference_interval(
            correct - correct[:, self.references], self.groups, confidence
        )
        agreement = share_interval(agrees, self.groups, confidence)
        low[:, _AGREEMENT], high[:, _AGREEMENT] = (side - 1 for side in agreement)
        changes = self.points - self.points[:, self.references]
        low, high = limits_over_seeds(changes, (low, high), confidence)
        for column in (_ACCURACY, _AGREEMENT):
            low[self.certain, column] = high[self.certain, column] = 0.0
        return low, high
