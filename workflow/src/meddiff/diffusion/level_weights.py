"""Weights of noise levels, fitted on validation images (numpy only).

Some noise levels tell the classes apart better than others. Both weights are smooth functions of logSNR:
Gaussian kernel averages over the validation steps (bandwidth `BANDWIDTH`), linear between grid points.

**Votes.** A step whose vote is right with probability p counts ln((K - 1) p / (1 - p)): the best weights of
independent votes whose errors fall evenly on the other classes (Nitzan & Paroush 1982; Shapley & Grofman
1984). Levels at or below chance count next to nothing.

**Errors.** Where the error of an image's own class is below the mean of all classes' by mu on average, with
variance v, the log-likelihood ratio of two classes in a Gaussian model is their difference in error times
mu / v (linear discriminant). An error counts 2 mu / v: weighted errors are minus twice log-likelihoods, as
unweighted ones are read (`meddiff.diffusion.vote.Tally.softmax`), and those of all levels are on one scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meddiff.diffusion.vote import Floats, ballots

BANDWIDTH = 1.0
_GRID_POINTS = 61
_SMALLEST = 1e-3  # of the largest weight: no step is worth nothing, so one step is enough to decide
_LARGEST_P = 0.99


@dataclass(frozen=True)
class LevelWeights:
    """Weights as functions of logSNR.

    Attributes:
        grid: [G] logSNR, ascending.
        votes: [G] weight of a vote.
        errors: [G] weight of an error.
    """

    grid: Floats
    votes: Floats
    errors: Floats

    def of_votes(self, logsnr: NDArray[np.floating]) -> Floats:
        """Weight of a vote at each `logsnr`, same shape."""
        return np.interp(logsnr, self.grid, self.votes)

    def of_errors(self, logsnr: NDArray[np.floating]) -> Floats:
        """Weight of an error at each `logsnr`, same shape."""
        # Weights range over orders of magnitude, so they are interpolated as logarithms.
        return np.exp(np.interp(logsnr, self.grid, np.log(self.errors)))


def fit_level_weights(
    errors: NDArray[np.floating], logsnr: NDArray[np.floating], label: NDArray[np.integer]
) -> LevelWeights:
    """Fit both weights.

    Args:
        errors: [I, S, K] of validation images, complete.
        logsnr: [I, S].
        label: [I] class index.

    Raises:
        ValueError: if there are no images.
    """
    if not len(errors):
        raise ValueError("weights of noise levels need at least one validation image")
    errors = np.asarray(errors, dtype=np.float64)
    classes = errors.shape[-1]
    own = np.take_along_axis(errors, np.asarray(label)[:, None, None], axis=-1)[..., 0]
    ahead = errors.mean(axis=-1) - own  # positive where the true class has the lower error
    # A divided vote is right by its share.
    shares = np.stack(ballots(errors)[1], axis=-1)
    right = np.take_along_axis(shares, np.asarray(label)[:, None, None], axis=-1)[..., 0]
    levels = np.asarray(logsnr, dtype=np.float64)
    grid = np.linspace(levels.min(), levels.max(), _GRID_POINTS)
    p, mean, square = _smooth(grid, levels.ravel(), [right.ravel(), ahead.ravel(), ahead.ravel() ** 2])
    p = np.clip(p, 1 / classes, _LARGEST_P)
    votes = np.log((classes - 1) * p / (1 - p))
    slope = np.maximum(mean, 0.0) / np.maximum(square - mean**2, np.finfo(np.float64).tiny)
    least = _SMALLEST * votes.max()
    votes = np.maximum(votes, least) if least > 0 else np.ones_like(votes)
    return LevelWeights(grid, votes, 2 * np.maximum(slope, np.finfo(np.float32).tiny))


def _smooth(grid: Floats, levels: Floats, values: list[NDArray]) -> list[Floats]:
    """Kernel averages [G] of each of `values` [n] at `levels` [n]; the kernel widens where there is none."""
    sums = np.zeros((len(values), len(grid)))
    total = np.zeros(len(grid))
    for i, point in enumerate(grid):
        distance = ((levels - point) / BANDWIDTH) ** 2 / 2
        weight = np.exp(distance.min() - distance)
        total[i] = weight.sum()
        sums[:, i] = [weight @ value for value in values]
    return list(sums / total)
