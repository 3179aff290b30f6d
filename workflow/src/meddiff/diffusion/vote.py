"""From noise-prediction errors to decisions, probabilities and uncertainties (numpy only).

Everywhere `errors` has shape [..., S, K]: squared L2 norms of (eps_hat - eps) for S classification steps
and K classes. NaN means that the class was not evaluated (early stop). A step counts only where all of its
classes were: errors are comparable between classes of one step only, which share noise level and noise. Every
image needs at least one such step.

Conventions that the paper leaves open. Where classes share a step's lowest error exactly, its vote is divided
evenly among them: a network that tells no classes apart has votes of 1 / K and entropy 1. A class is named
all the same: the one with most votes, of several that with the lowest mean error, and of several again that
with the lowest index. Uncertainties are larger where the classifier is less certain, and are finite for every
number of steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Winners that are no class.
NOT_EVALUATED, DIVIDED = -1, -2
_VOTE_DIGITS = 9


@dataclass(frozen=True)
class Tally:
    """What the decision rules need to know about a set of steps.

    Attributes:
        steps: [...] number of evaluated steps, at least 1.
        counts: [..., K] votes per class; they sum to `steps`, and are whole but for divided votes.
        mean: [..., K] mean error per class.
    """

    steps: Ints
    counts: Floats
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
                mean (votes_k + 1/2) / (steps + K / 2) under Jeffreys' prior. If not given, only evaluated
                steps count.
        """
        steps = self.steps[..., None]
        if total is None:
            return self.counts / steps
        expected = (self.counts + 0.5) / (steps + self.counts.shape[-1] / 2)
        return (self.counts + (total - steps) * expected) / total

    def softmax(self) -> Floats:
        """[..., K] probabilities by mean error: softmax(-mean / 2).

        This reads eps_hat as the mean of a Gaussian of unit variance for eps, whose log-likelihood is
        -error / 2 up to a constant, with a uniform prior over classes. Errors are sums over all input
        dimensions, so on large inputs these probabilities saturate: they rank, but are not calibrated.
        """
        logits = -self.mean / 2
        shifted = logits - logits.max(axis=-1, keepdims=True)
        return np.exp(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))

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


def votes(errors: NDArray[np.floating]) -> tuple[Ints, Floats]:
    """The winner of every step and the votes per class.

    Returns:
        winner: [..., S] class with the lowest error; `NOT_EVALUATED` or `DIVIDED` where there is no such one.
        counts: [..., K] votes that each class has.
    """
    evaluated, shares = ballots(errors)
    winner = np.where(evaluated, DIVIDED, NOT_EVALUATED)
    for k, share in enumerate(shares):
        winner = np.where(share == 1, k, winner)
    return winner, np.stack([running_votes(share)[..., -1] for share in shares], axis=-1)


def ballots(errors: NDArray[np.floating]) -> tuple[NDArray[np.bool_], list[NDArray]]:
    """How the vote of every step is divided.

    Returns:
        evaluated: [..., S] whether all classes of the step were evaluated.
        shares: K arrays [..., S]: 1 for the class with the lowest error, of several the reciprocal of their
            number; 0 for the others and where the step was not evaluated. They are bool where nothing is
            divided, which is nearly always so.

    Raises:
        ValueError: if `errors` has another shape than [..., S >= 1, K >= 2].
    """
    errors = np.asarray(errors)
    if errors.ndim < 2 or errors.shape[-1] < 2 or errors.shape[-2] < 1:
        raise ValueError(f"errors must have shape [..., steps, classes >= 2], got {errors.shape}")
    # Class by class, here and below: NumPy's reductions over so short an axis take ten times as long.
    own = [errors[..., k] for k in range(errors.shape[-1])]
    evaluated, lowest = np.isfinite(own[0]), own[0]
    for others in own[1:]:
        evaluated &= np.isfinite(others)
        lowest = np.minimum(lowest, others)
    shares = [(error == lowest) & evaluated for error in own]
    number = np.sum(shares, axis=0)
    if (number > 1).any():
        shares = [share / np.maximum(number, 1) for share in shares]
    return evaluated, shares


def running_votes(share: NDArray) -> Floats:
    """[..., S] votes of one class after each step, from its `ballots`."""
    running = share.cumsum(axis=-1, dtype=np.float64)
    # Thirds do not add up to whole numbers in binary, and equal votes must be equal.
    return running if share.dtype == bool else running.round(_VOTE_DIGITS)


def majority(errors: NDArray[np.floating]) -> Ints:
    """[...] decision by majority vote over steps."""
    return tally(errors).majority()


def mean(errors: NDArray[np.floating]) -> Ints:
    """[...] decision by the lowest mean error over steps."""
    return tally(errors).lowest_mean()


def t_score(errors: NDArray[np.floating]) -> Floats:
    """[...] minus |`paired_t`| of best class and runner-up by mean error; raises as `tally`."""
    order = np.argsort(tally(errors).mean, axis=-1, kind="stable")
    # Taken from zero, so that it is not -0.0.
    return 0.0 - np.abs(paired_t(errors, order[..., 0], order[..., 1]))


def paired_t(errors: NDArray[np.floating], one: Ints, other: Ints) -> Floats:
    """[...] mean difference in error, class `other` [...] minus class `one` [...], / its standard error.

    The difference is taken step by step, since both see the same noise.
    Where fewer than all S steps were evaluated, the standard error is that which the mean of all S would
    have, or images that stop early because they are clear would count as the uncertain ones. With a single
    step the spread is unknown and the score is 0, the least certain value. Differences without any spread are
    given that of rounding in float32 (the precision of stored errors), which makes the score large but
    finite; 0 where they are all zero.
    """
    errors = np.asarray(errors, dtype=np.float64)
    own = [np.take_along_axis(errors, index[..., None, None], axis=-1)[..., 0] for index in (one, other)]
    evaluated = np.isfinite(errors).all(axis=-1)
    difference = np.where(evaluated, own[1] - own[0], 0.0)
    steps = evaluated.sum(axis=-1)
    average = difference.sum(axis=-1) / steps
    squares = np.where(evaluated, (difference - average[..., None]) ** 2, 0.0).sum(axis=-1)
    deviation = np.sqrt(squares / np.maximum(steps - 1, 1))
    rounding = np.finfo(np.float32).eps * np.abs(difference).max(axis=-1)
    standard_error = np.maximum(deviation, rounding) / np.sqrt(errors.shape[-2])
    known = (steps > 1) & (standard_error > 0)
    return np.divide(average, standard_error, out=np.zeros_like(average), where=known)


def entropy(probabilities: NDArray[np.floating]) -> Floats:
    """[...] Shannon entropy of `probabilities` [..., K] divided by ln K, within [0, 1]; 0 ln 0 = 0.

    Probabilities are summed in sorted order, so that equal distributions over differently ordered
    classes are exact ties.
    """
    p = np.sort(np.asarray(probabilities, dtype=np.float64), axis=-1)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    # Taken from zero, so that it is not -0.0.
    return np.clip(0.0 - (p * logs).sum(axis=-1) / np.log(p.shape[-1]), 0.0, 1.0)


def _running(errors: NDArray[np.floating]) -> Tally:
    errors = np.asarray(errors)
    evaluated, shares = ballots(errors)
    steps = evaluated.cumsum(axis=-1)
    at_least_one = np.maximum(steps, 1)
    counts, average = np.empty(errors.shape), np.empty(errors.shape)
    for k, share in enumerate(shares):
        counts[..., k] = running_votes(share)
        total = np.where(evaluated, errors[..., k], 0.0).cumsum(axis=-1, dtype=np.float64)
        np.divide(total, at_least_one, out=average[..., k])
    return Tally(steps, counts, average)
