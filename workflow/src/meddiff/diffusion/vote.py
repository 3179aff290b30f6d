"""From noise-prediction errors to decisions, probabilities and uncertainties (numpy only).

Everywhere `errors` has shape [..., S, K]: squared L2 norms of (eps_hat - eps) for S classification steps
and K classes. NaN means that the class was not evaluated (early stop); a step counts only where all of
its classes were evaluated, since errors are comparable between classes of one step only (they share
noise level and noise). Every image needs at least one such step.

Conventions that the paper leaves open: a tie of the vote goes to the tied class with the lower mean
error, and a tie of mean errors to the class with the lower index. Uncertainties are larger where the
classifier is less certain, and are finite for every number of steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tally:
    """What the decision rules need to know about a set of steps.

    Attributes:
        steps: [...] number of evaluated steps, at least 1.
        counts: [..., K] votes per class; they sum to `steps`.
        mean: [..., K] mean error per class.
    """

    steps: Ints
    counts: Ints
    mean: Floats

    def majority(self) -> Ints:
        """[...] the class with most votes; among tied classes the one with the lower mean error."""
        tied = self.counts == self.counts.max(axis=-1, keepdims=True)
        return np.where(tied, self.mean, np.inf).argmin(axis=-1)

    def lowest_mean(self) -> Ints:
        """[...] the class with the lowest mean error."""
        return self.mean.argmin(axis=-1)

    def vote_shares(self, total: int | None = None) -> Floats:
        """[..., K] probabilities by majority: votes / steps.

        Args:
            total: steps of the full run. Where an image stopped before, its shares are those that are to be
                expected of the full run: each step that is missing counts for class k with the posterior
                mean (votes_k + 1) / (steps + K) under a uniform prior. If not given, only evaluated steps
                count.
        """
        steps = self.steps[..., None]
        if total is None:
            return self.counts / steps
        expected = (self.counts + 1) / (steps + self.counts.shape[-1])
        return (self.counts + (total - steps) * expected) / total

    def softmax(self) -> Floats:
        """[..., K] probabilities by mean error: softmax(-mean / 2).

        This reads eps_hat as the mean of a Gaussian of unit variance for eps, whose log-likelihood is
        -error / 2 up to a constant, with a uniform prior over classes. Errors are sums over all input
        dimensions, so on large inputs these probabilities saturate: they rank, but are not calibrated.
        """
        return np.exp(_log_softmax(-self.mean / 2))

    def vote_entropy(self, total: int | None = None) -> Floats:
        """[...] entropy of `vote_shares` divided by ln K: 0 unanimous, 1 evenly divided."""
        return entropy(self.vote_shares(total))

    def softmax_entropy(self) -> Floats:
        """[...] entropy of `softmax` divided by ln K, within [0, 1]."""
        return entropy(self.softmax())


def tally(errors: NDArray[np.floating]) -> Tally:
    """Tally of all steps of `errors` [..., S, K].

    Raises:
        ValueError: if an image has no evaluated step.
    """
    every = _running(errors)
    if not np.all(every.steps[..., -1] > 0):
        raise ValueError("every image needs a step with all classes evaluated")
    return Tally(every.steps[..., -1], every.counts[..., -1, :], every.mean[..., -1, :])


def prefix(errors: NDArray[np.floating]) -> Tally:
    """Tallies of the first n steps for all n = 1..S, by cumulative sums.

    The result has an axis S before the class axis; entry n - 1 is ``tally(errors[..., :n, :])``. An image
    that stopped early keeps its last tally.

    Raises:
        ValueError: if an image's first step was not evaluated.
    """
    every = _running(errors)
    if not np.all(every.steps > 0):
        raise ValueError("the first step of every image must have all classes evaluated")
    return every


def votes(errors: NDArray[np.floating]) -> tuple[Ints, Ints]:
    """The winner of every step and the votes per class.

    Returns:
        winner: [..., S] class with the lowest error; -1 where the step was not evaluated.
        counts: [..., K] number of steps that each class won.
    """
    evaluated, winner = _winners(np.asarray(errors))
    winner = np.where(evaluated, winner, -1)
    counts = [(winner == k).sum(axis=-1) for k in range(errors.shape[-1])]
    return winner, np.stack(counts, axis=-1)


def majority(errors: NDArray[np.floating]) -> Ints:
    """[...] decision by majority vote over steps."""
    return tally(errors).majority()


def mean(errors: NDArray[np.floating]) -> Ints:
    """[...] decision by the lowest mean error over steps."""
    return tally(errors).lowest_mean()


def t_score(errors: NDArray[np.floating]) -> Floats:
    """[...] minus |mean paired error difference| / its standard error, best class against runner-up.

    Best and runner-up are by mean error; the difference is taken step by step, since both classes see
    the same noise. Where fewer than all S steps were evaluated, the standard error is that which the mean of
    all S would have, or images that stop early because they are clear would count as the uncertain ones.
    With a single step the spread is unknown and the score is 0, the least certain value.
    Differences without any spread are given that of rounding in float32 (the precision of stored
    errors), which makes the score large but finite; 0 where they are all zero.

    Raises:
        ValueError: if an image has no evaluated step.
    """
    errors = np.asarray(errors, dtype=np.float64)
    order = np.argsort(tally(errors).mean, axis=-1, kind="stable")[..., None, :]
    best, runner_up = (np.take_along_axis(errors, order[..., i : i + 1], axis=-1)[..., 0] for i in (0, 1))
    evaluated = np.isfinite(errors).all(axis=-1)
    difference = np.where(evaluated, runner_up - best, 0.0)
    steps = evaluated.sum(axis=-1)
    average = difference.sum(axis=-1) / steps
    squares = np.where(evaluated, (difference - average[..., None]) ** 2, 0.0).sum(axis=-1)
    deviation = np.sqrt(squares / np.maximum(steps - 1, 1))
    rounding = np.finfo(np.float32).eps * np.abs(difference).max(axis=-1)
    standard_error = np.maximum(deviation, rounding) / np.sqrt(errors.shape[-2])
    known = (steps > 1) & (standard_error > 0)
    return -np.divide(np.abs(average), standard_error, out=np.zeros_like(average), where=known)


def entropy(probabilities: NDArray[np.floating]) -> Floats:
    """[...] Shannon entropy of `probabilities` [..., K] divided by ln K, within [0, 1]; 0 ln 0 = 0.

    Probabilities are summed in sorted order, so that equal distributions over differently ordered
    classes are exact ties.
    """
    p = np.sort(np.asarray(probabilities, dtype=np.float64), axis=-1)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    return np.clip(-(p * logs).sum(axis=-1) / np.log(p.shape[-1]), 0.0, 1.0)


def _winners(errors: NDArray[np.floating]) -> tuple[NDArray[np.bool_], Ints]:
    if errors.ndim < 2 or errors.shape[-1] < 2 or errors.shape[-2] < 1:
        raise ValueError(f"errors must have shape [..., steps, classes >= 2], got {errors.shape}")
    # Class by class, here and below: NumPy's reductions over so short an axis take ten times as long.
    evaluated, winner = np.isfinite(errors[..., 0]), np.zeros(errors.shape[:-1], dtype=np.int64)
    lowest = errors[..., 0]
    for k in range(1, errors.shape[-1]):
        own = errors[..., k]
        evaluated &= np.isfinite(own)
        winner = np.where(own < lowest, k, winner)
        lowest = np.minimum(own, lowest)
    return evaluated, winner


def _running(errors: NDArray[np.floating]) -> Tally:
    errors = np.asarray(errors)
    evaluated, winner = _winners(errors)
    steps = evaluated.cumsum(axis=-1)
    at_least_one = np.maximum(steps, 1)
    counts, average = np.empty(errors.shape, dtype=np.int64), np.empty(errors.shape)
    for k in range(errors.shape[-1]):
        ((winner == k) & evaluated).cumsum(axis=-1, out=counts[..., k])
        total = np.where(evaluated, errors[..., k], 0.0).cumsum(axis=-1, dtype=np.float64)
        np.divide(total, at_least_one, out=average[..., k])
    return Tally(steps, counts, average)


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
