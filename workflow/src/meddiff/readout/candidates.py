"""Decision rules that are judged, and may one day be used: see `meddiff.readout.rules`.

In a module of their own, so that what is tried here makes no result stale. Those that need the validation
split are in `meddiff.readout.fitted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.special import softmax

from meddiff.diffusion import vote
from meddiff.diffusion.vote import Floats
from meddiff.readout.rules import Rule, by_votes, t_score
from meddiff.readout.scores import Readout

_TRIMMED = 0.1  # of the steps, at either end
_NEIGHBOURS = 31  # steps of the nearest noise levels, which tell the spread of one
_DIGITS = 9  # of scores that are compared: sums of thirds are equal but for rounding


def pairwise(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
    """Most points, where each step gives a class one for every class whose error is higher (Borda's count).

    A class that is second at every step beats one that is first at some and last at others: where a plurality
    is divided among similar classes, this is not. Points are counted in votes, so that all classes have those
    of the steps together: of two classes it is the majority.
    """
    wins = _wins(errors)
    classes = wins.shape[-1]
    tally = vote.tally(errors)
    return by_votes(replace(tally, counts=wins.sum(axis=-1) * 2 / (classes * (classes - 1))), errors.shape[1])


def condorcet(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
    """The class that does best against its strongest rival (maximin, Simpson and Kramer).

    The score of a class is half the log odds of its votes against that rival, smoothed as by majority. A
    class that beats each other one at most steps is chosen. Of two classes it is the majority.
    """
    wins = _wins(errors) + 0.5
    odds = np.log(wins) - np.log(np.swapaxes(wins, -1, -2))
    scores = np.where(np.eye(wins.shape[-1], dtype=bool), np.inf, odds).min(axis=-1) / 2
    return highest(scores, errors)


def signed_rank(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
    """Wilcoxon's signed-rank statistic of each pair of classes, in standard deviations.

    Between the majority, which looks at the sign of a difference, and the mean, which looks at its size.
    """
    evaluated = evaluated_steps(errors)
    scores = np.zeros((len(errors), errors.shape[-1]))
    for k in range(errors.shape[-1]):
        for rival in range(k):
            difference = np.where(evaluated, errors[..., rival] - errors[..., k], 0.0)
            ranks = np.abs(difference).argsort(axis=1).argsort(axis=1) + 1.0
            # Steps that do not count, and ties, are 0 and have the lowest ranks.
            signed = np.sign(difference) * (ranks - (difference == 0).sum(axis=1, keepdims=True))
            z = signed.sum(axis=1) / np.sqrt(np.maximum((signed**2).sum(axis=1), 1.0))
            scores[:, k] += z / errors.shape[-1]
            scores[:, rival] -= z / errors.shape[-1]
    return highest(scores.round(_DIGITS), errors)


def median(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
    """Lowest median error, less the mean of the step's classes."""
    ordered, steps = _ordered(errors)
    middle = [_steps_at(ordered, index) for index in ((steps - 1) // 2, steps // 2)]
    return highest(-(middle[0] + middle[1]) / 4, errors)


def trimmed_mean(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
    """Lowest mean error, less that of the step's classes, without a tenth of the steps at either end."""
    ordered, steps = _ordered(errors)
    cut = (steps * _TRIMMED).astype(np.int64)
    running = np.concatenate([np.zeros_like(ordered[:, :1]), ordered.cumsum(axis=1)], axis=1)
    kept = _steps_at(running, steps - cut) - _steps_at(running, cut)
    return highest(-kept / (steps - 2 * cut)[:, None] / 2, errors)


def log_mean(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
    """Lowest mean logarithm of the error, which no noise level rules by its scale; scores as `t_score`."""
    return t_score(np.log(np.maximum(errors, np.finfo(np.float32).tiny)), logsnr)


def scaled_mean(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
    """Lowest mean error where each step is divided by the spread of its neighbours; scores as `t_score`.

    Spread: root mean square, over the image's steps of nearest noise levels, of the errors less their step's
    mean over classes.
    """
    evaluated = evaluated_steps(errors)
    order = np.argsort(np.where(evaluated, logsnr, np.inf), axis=1, kind="stable")
    squares = np.nan_to_num((centred(errors) ** 2).mean(axis=-1))
    size = min(_NEIGHBOURS, errors.shape[1])
    sums, number = (
        uniform_filter1d(np.take_along_axis(values, order, axis=1), size, axis=1, mode="constant")
        for values in (squares, evaluated.astype(np.float64))
    )
    spread = np.empty_like(squares)
    np.put_along_axis(spread, order, np.sqrt(sums.clip(0) / np.maximum(number, 1 / size)), axis=1)
    return t_score(centred(errors) / np.maximum(spread, np.finfo(np.float32).tiny)[..., None], logsnr)


CANDIDATES: Mapping[str, Rule] = {
    "pairwise": pairwise,
    "condorcet": condorcet,
    "signed_rank": signed_rank,
    "median": median,
    "trimmed_mean": trimmed_mean,
    "log_mean": log_mean,
    "scaled_mean": scaled_mean,
}


def _wins(errors: NDArray[np.floating]) -> Floats:
    """[I, K, K] steps at which class k has a lower error than class j; equal errors count half for either."""
    evaluated, classes = evaluated_steps(errors), errors.shape[-1]
    wins = np.zeros((len(errors), classes, classes))
    for k in range(classes):
        for rival in range(k):
            own, other = errors[..., k], errors[..., rival]
            equal = (evaluated & (own == other)).sum(axis=1) / 2
            wins[:, k, rival] = (evaluated & (own < other)).sum(axis=1) + equal
            wins[:, rival, k] = (evaluated & (other < own)).sum(axis=1) + equal
    return wins


def highest(scores: Floats, errors: NDArray[np.floating]) -> Readout:
    """The class with the highest score, of several the lowest mean error."""
    prediction = scores.argmax(axis=1)
    tied = (scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1
    if tied.any():
        prediction[tied] = replace(vote.tally(errors[tied]), counts=scores[tied]).majority()
    return Readout(scores, softmax(scores, axis=-1), prediction)


def evaluated_steps(errors: NDArray[np.floating]) -> NDArray[np.bool_]:
    """[I, S] whether a step has all classes."""
    return np.isfinite(errors).all(axis=-1)


def centred(errors: NDArray[np.floating]) -> Floats:
    """[I, S, K] float64 errors less their step's mean over classes; NaN where a class is missing."""
    errors = np.asarray(errors, dtype=np.float64)
    return errors - errors.mean(axis=-1, keepdims=True)


def _ordered(errors: NDArray[np.floating]) -> tuple[Floats, NDArray[np.int64]]:
    """`centred` errors of each class in ascending order, NaN last, and [I] how many are not."""
    return np.sort(centred(errors), axis=1), evaluated_steps(errors).sum(axis=1)


def _steps_at(values: Floats, index: NDArray[np.int64]) -> Floats:
    """[I, K] entry ``index[i]`` of image i along the steps of `values` [I, S, K]."""
    return values[np.arange(len(values)), index]
