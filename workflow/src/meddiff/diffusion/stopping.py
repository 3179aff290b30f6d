"""Rules that say after how many steps the classification of an image may stop (numpy and scipy only).

A rule looks at the steps of an image in their order (`meddiff.diffusion.step_order`) and at nothing else, so
where an image stops does not depend on the batch, the shard or other images. N is the number of steps of the
full run.

**Exact, by majority.** Stop when the leader has more votes than any rival can still get. A rival that could
draw level keeps the image going, since a tie is decided by mean errors of all steps.

**Sequential, by majority.** Stop when no rival is likely to catch up (`meddiff.diffusion.vote_table`): the
decision differs from that of the full run with a probability of at most delta, all looks included.

**Sequential, by mean error.** Errors have no bound, so this decision is never certain before the end. For
paired differences of errors that are normal, (mean of N - mean of n) / (s sqrt(1/n - 1/N)) is Student t with
n - 1 degrees of freedom (prediction interval for a future mean, Hahn & Meeker 1991, Statistical Intervals).
Stop when it excludes, for every rival, that the rival ends with the lower mean. delta is divided evenly over
the looks, which are on a geometric grid, and the rivals (Bonferroni), so under normality the decision differs
from that of the full run with a probability of at most delta. Elsewhere delta promises nothing, and no rule
could promise more (docs/tried.md): errors are skewed, which is why there is no look before step 16.

With `min_steps` no image stops earlier, even if its majority is certain: uncertainties need finer shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion.majority_rule import MajorityRule
from meddiff.diffusion.step_order import by_number
from meddiff.diffusion.vote import Ints
from meddiff.diffusion.vote_table import most_rival_votes

_FIRST_LOOK = 16
_LOOK_RATIO = 1.25
_BLOCK_ELEMENTS = 1 << 17  # of [image, step, class]: a megabyte of float64, near what a core's cache holds


class Rule(Protocol):
    """Where images stop."""

    def wanted(self, errors: NDArray[np.floating], known: Ints) -> Ints:
        """[I] number of steps that each image needs, within 1..N.

        Where it is not above `known` the image is decided, and this is the step it stops after. Otherwise
        the image certainly needs that many.

        Args:
            errors: [I, N, K]; only the first ``known[i]`` steps of image i are looked at.
            known: [I] number of steps that are evaluated.
        """


def make_rule(config: StoppingConfig, steps: int, classes: int) -> Rule | None:
    """The rule that `config` names, for `steps` classification steps; None for ``none``."""
    if config.kind == "none":
        return None
    if config.decision == "mean":
        return MeanRule(steps, classes, config.delta, config.min_steps)
    if config.kind == "exact":
        return MajorityRule(steps, min_steps=config.min_steps)
    most = most_rival_votes(steps, classes, config.delta, config.min_steps)
    return MajorityRule(steps, most, config.min_steps)


def stopping_steps(errors: NDArray[np.floating], rule: Rule) -> Ints:
    """[I] number of steps after which `rule` stops each image.

    `errors` are [I, N, K] of the full run, or as far as `rule`, which is for N steps, needs them.
    """
    images, steps, classes = errors.shape
    block = max(1, _BLOCK_ELEMENTS // (steps * classes))
    parts = [errors[start : start + block] for start in range(0, images, block)]
    wanted = [rule.wanted(part, np.full(len(part), steps)) for part in parts]
    return np.concatenate(wanted) if wanted else np.empty(0, np.int64)


def cut(errors: NDArray[np.floating], steps_used: Ints, order: Ints | None = None) -> NDArray[np.floating]:
    """`errors` [I, N, K] with NaN (not evaluated) but for the first ``steps_used[i]`` steps of image i.

    `order` [I, N] says which steps come first, by number; without it they come by their number.
    """
    return np.where(used_steps(steps_used, errors.shape[1], order)[..., None], errors, np.nan)


def used_steps(steps_used: Ints, steps: int, order: Ints | None = None) -> NDArray[np.bool_]:
    """[I, N] whether a step is among the first ``steps_used[i]`` of image i; arguments as in `cut`."""
    return by_number(np.arange(steps) < np.asarray(steps_used)[:, None], order)


@dataclass(frozen=True)
class MeanRule:
    """Stop when the lowest mean error of all steps is known with high probability.

    Attributes:
        steps: N.
        classes: K.
        delta: probability of another decision than that of the full run, if differences are normal.
        min_steps: before which the rule does not look.
    """

    steps: int
    classes: int
    delta: float
    min_steps: int = 1

    @cached_property
    def looks(self) -> Ints:
        """Numbers of steps after which the rule looks, in ascending order, all below N."""
        count = int(np.log(max(self.steps / _FIRST_LOOK, 1)) / np.log(_LOOK_RATIO)) + 1
        looks = np.unique(np.rint(_FIRST_LOOK * _LOOK_RATIO ** np.arange(count)).astype(np.int64))
        return looks[(looks >= self.min_steps) & (looks < self.steps)]

    @cached_property
    def _bounds(self) -> NDArray[np.float64]:
        """[looks] the least mean difference at each look, in standard deviations of one difference."""
        level = self.delta / (max(len(self.looks), 1) * (self.classes - 1))
        # Quantile of Student's t; scipy.stats has the same, and takes a second to import.
        return -stdtrit(self.looks - 1, level) * np.sqrt(1 / self.looks - 1 / self.steps)

    def wanted(self, errors: NDArray[np.floating], known: Ints) -> Ints:
        """See `Rule`."""
        known = np.asarray(known, dtype=np.int64)
        ends = np.append(self.looks, self.steps)
        undecided = ends[np.searchsorted(self.looks, known, side="right")]
        looks = self.looks[self.looks <= known.max(initial=0)]
        if not len(looks):
            return undecided
        settled = self._settled(np.asarray(errors[:, : looks[-1]], dtype=np.float64), looks)
        settled &= looks <= known[:, None]
        return np.where(settled.any(axis=1), looks[settled.argmax(axis=1)], undecided)

    def _settled(self, errors: NDArray[np.float64], looks: Ints) -> NDArray[np.bool_]:
        """[I, L] whether at each of L `looks` the lowest mean of `errors` [I, n, K] is clearly the lowest."""
        last, bounds = looks - 1, self._bounds[: len(looks)]
        leader = np.stack([own.cumsum(axis=1)[:, last] for own in np.moveaxis(errors, -1, 0)]).argmin(axis=0)
        clear = np.ones(leader.shape, dtype=bool)
        for k, rival in combinations(range(errors.shape[-1]), 2):
            difference = errors[..., rival] - errors[..., k]
            # Running sums of squares lose few digits where they are taken around a value near the mean.
            centre = difference[:, :1]
            off = difference - centre
            mean = off.cumsum(axis=1)[:, last] / looks
            squares = (off * off).cumsum(axis=1)[:, last] - looks * mean**2
            limit = bounds * np.sqrt(np.maximum(squares, 0.0) / last)
            clear &= (leader != k) | (mean + centre > limit)
            clear &= (leader != rival) | (-mean - centre > limit)
        return clear
