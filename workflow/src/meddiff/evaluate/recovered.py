"""Limits of differences and of means over seeds, from limits of their parts.

Variances that limits imply are added on each side of its own (MOVER: Zou & Donner 2008, Stat. Med. 27), so
limits may lie unevenly, and hold near 0 and 1 where those of the parts do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]
Limits = tuple[Floats, Floats]


def difference_limits(first: ArrayLike, limits: Limits, second: ArrayLike, others: Limits) -> Limits:
    """Limits of first minus second, of different images.

    Where the images of both share groups, which makes both go up and down together, the limits are too wide
    rather than too narrow.

    Args:
        first, second: [...] the two values.
        limits, others: their lower and upper limits [...].
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    low = np.hypot(a - limits[0], others[1] - b)
    high = np.hypot(limits[1] - a, b - others[0])
    return a - b - low, a - b + high


def replicates(values: ArrayLike, seeds: Sequence[int]) -> Floats:
    """What `limits_over_seeds` takes as the values of seeds, where a training may have several vote seeds.

    With several trainings these are the mean of each over its vote seeds: the votes of one training are no
    further trainings, and what they differ by is in these means, too. With one training they are its vote
    seeds, and what is said of them is not said of other trainings.

    Args:
        values: [R, ...] value of each run, a pair of training and vote seed.
        seeds: [R] seed of its training.

    Returns:
        [S, ...], in the order in which the trainings come.
    """
    values = np.asarray(values, dtype=np.float64)
    trainings = list(dict.fromkeys(seeds))
    if len(trainings) < 2:
        return values
    return np.stack([values[np.asarray(seeds) == seed].mean(axis=0) for seed in trainings])


def limits_over_seeds(values: ArrayLike, limits: Limits, confidence: float) -> Limits:
    """Limits of a mean over seeds, for other images and for other seeds.

    What the images leave open and what the seeds leave open (Student's t of the seeds' values) are added. The
    differences between the seeds come from these images, so a part of the first is in the second, too: the
    limits are rather too wide. With two seeds they are very wide: two values say little of their spread.

    Args:
        values: [S, ...] value of each seed.
        limits: lower and upper limit [...] of their mean on account of the images alone.
        confidence: of `limits`.
    """
    values = np.asarray(values, dtype=np.float64)
    seeds, mean = len(values), values.mean(axis=0)
    if seeds < 2:
        return np.asarray(limits[0], dtype=np.float64), np.asarray(limits[1], dtype=np.float64)
    half = stdtrit(seeds - 1, (1 + confidence) / 2) * values.std(axis=0, ddof=1) / np.sqrt(seeds)
    return mean - np.hypot(mean - limits[0], half), mean + np.hypot(limits[1] - mean, half)
