"""Procedures that take fewer steps, replayed from the errors of all steps, and intervals of what they do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion import vote
from meddiff.diffusion.level_weights import LevelWeights
from meddiff.diffusion.step_order import in_order
from meddiff.diffusion.stopping import make_rule, stopping_steps
from meddiff.evaluate.metrics.catalogue import AURC_SQUARES
from meddiff.evaluate.over_seeds import limits_over_seeds
from meddiff.evaluate.proportion import Sample, bounded_interval, difference_interval, share_interval
from meddiff.evaluate.statistics import Limits, percentile_interval
from meddiff.readout.fitted import weighted_ballots

FIRST, EXACT, SEQUENTIAL, SPREAD = "first", "exact", "sequential", "sequential_spread"
# Each decision, and the one whose full run it is compared with.
REFERENCE = {
    "majority": "majority",
    "weighted_votes": "majority",
    "mean": "mean",
    "weighted_errors": "mean",
}
METRICS = ("accuracy", "agreement", "aurc", "ece")
_STEPS, _ACCURACY, _AGREEMENT, _AURC, _ECE = range(1 + len(METRICS))
WEIGHTED = ("weighted_votes", "weighted_errors")
_BLOCK_ELEMENTS = 1 << 17  # of [image, step, class]: a megabyte of float64, near what a core's cache holds


@dataclass(frozen=True)
class Procedure:
    """How steps become a decision.

    Attributes:
        decision: a key of `REFERENCE`.
        rule: ``first`` (the same number of steps for every image), ``exact``, ``sequential``, or
            ``sequential_spread`` (the steps in the spread order, see `meddiff.diffusion.step_order`).
        setting: number of steps, NaN, or delta.
        levels: kind of noise levels.
    """

    decision: str
    rule: str
    setting: float
    levels: str = "uniform"


@dataclass(frozen=True)
class Outcome:
    """What a procedure does with I images.

    Attributes:
        steps: [I] steps used.
        prediction: [I] class index.
        confidence: [I] probability of that class.
        uncertainty: [I] larger = less certain: entropy of vote shares, or of the softmax for ``mean``.
    """

    steps: np.ndarray
    prediction: np.ndarray
    confidence: np.ndarray
    uncertainty: np.ndarray


def replay(
    errors: np.ndarray,
    wanted: list[Procedure],
    logsnr: np.ndarray | None = None,
    weights: LevelWeights | None = None,
    spread: np.ndarray | None = None,
) -> list[Outcome]:
    """What each procedure does.

    Args:
        errors: [I, N, K], complete.
        wanted: the procedures.
        logsnr: [I, N], for weighted decisions.
        weights: for weighted decisions.
        spread: [I, N] the steps in the spread order, for ``sequential_spread``.
    """
    block = max(1, _BLOCK_ELEMENTS // (errors.shape[1] * errors.shape[2]))
    parts = []
    for start in range(0, len(errors), block):
        rows = slice(start, start + block)
        part = _Block(errors[rows])
        in_spread_order = None if spread is None else _Block(in_order(errors[rows], spread[rows]))
        if weights is not None and logsnr is not None:
            part.weigh(logsnr[rows], weights)
        parts.append([(in_spread_order if p.rule == SPREAD else part).outcome(p) for p in wanted])
    names = ("steps", "prediction", "confidence", "uncertainty")
    return [
        Outcome(*(np.concatenate([getattr(outcome, name) for outcome in outcomes]) for name in names))
        for outcomes in zip(*parts, strict=True)
    ]


class _Block:
    """Running results of some images, from which every procedure's outcome is read."""

    def __init__(self, errors: np.ndarray) -> None:
        self._errors, self._running = errors, vote.prefix(errors)
        self._weighted: dict[str, np.ndarray] = {}

    def weigh(self, logsnr: np.ndarray, weights: LevelWeights) -> None:
        """Add weighted votes and errors."""
        self._weighted["weighted_votes"] = weighted_ballots(self._errors, logsnr, weights).cumsum(axis=1)
        errors = self._errors * weights.of_errors(logsnr)[..., None]
        steps = np.arange(1, errors.shape[1] + 1)[:, None]
        self._weighted["weighted_errors"] = errors.cumsum(axis=1) / steps

    def outcome(self, procedure: Procedure) -> Outcome:
        """What `procedure` does with the images."""
        images, total, classes = self._errors.shape
        if procedure.rule == FIRST:
            total = int(procedure.setting)  # a run of that many steps, not one that stopped
            used = np.full(images, total)
        else:
            delta = None if procedure.rule == EXACT else procedure.setting
            kind = EXACT if procedure.rule == EXACT else SEQUENTIAL
            config = StoppingConfig(kind=kind, decision=procedure.decision, delta=delta)
            used = stopping_steps(self._errors, make_rule(config, total, classes))
        last = np.arange(images), used - 1
        tally = vote.Tally(used, self._running.counts[last], self._running.mean[last])
        if procedure.decision == "majority":
            prediction, p = tally.majority(), tally.vote_shares(total)
        elif procedure.decision == "weighted_votes":
            votes = self._weighted["weighted_votes"][last]
            prediction = replace(tally, counts=votes).majority()
            p = votes / votes.sum(axis=1, keepdims=True)
        else:
            if procedure.decision == "weighted_errors":
                tally = replace(tally, mean=self._weighted["weighted_errors"][last])
            prediction, p = tally.lowest_mean(), tally.softmax()
        confidence = np.take_along_axis(p, prediction[:, None], axis=1)[:, 0]
        return Outcome(used, prediction, confidence, vote.entropy(p))


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
