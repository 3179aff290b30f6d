"""The bootstrap over groups, its percentile intervals, and limits of differences.

The bootstrap draws groups (patients, lesions) with replacement and keeps the images of a group together,
since images of one patient are not independent. Where every image is its own group it is the ordinary
bootstrap over images. Shares have intervals of their own (`meddiff.evaluate.proportion`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from meddiff.config.schema.strict import Strict

Floats = NDArray[np.float64]
Limits = tuple[Floats, Floats]

_BLOCK_ELEMENTS = 1 << 16  # of a weight matrix: half a megabyte, which stays in the cache of a core


class Resampling(Strict):
    """How intervals are made that need resamples."""

    bootstrap_samples: int = Field(ge=1)
    confidence: float = Field(gt=0, lt=1)
    bootstrap_seed: int


def bootstrap_weights(groups: ArrayLike, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of weights [b, I] that add up to `samples` rows.

    Entry (b, i) is how often the group of image i was drawn in resample b. The rows do not depend on the
    block size.

    Args:
        groups: [I] group of each image.
        samples: number of resamples.
        seed: of the generator.
    """
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    number, generator = len(names), np.random.default_rng(seed)
    block = max(1, _BLOCK_ELEMENTS // len(index))
    for start in range(0, samples, block):
        rows = min(block, samples - start)
        drawn = generator.integers(number, size=(rows, number)) + number * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * number).reshape(rows, number)
        yield counts[:, index]


def bootstrap(
    statistic: Callable[[np.ndarray], dict[str, np.ndarray]], groups: ArrayLike, resampling: Resampling
) -> dict[str, np.ndarray]:
    """Name -> [samples, ...] bootstrap values of a statistic that maps weights [b, I] to values [b, ...]."""
    how = resampling.bootstrap_samples, resampling.bootstrap_seed
    blocks = [statistic(weights) for weights in bootstrap_weights(groups, *how)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def percentile_interval(values: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limit along the first axis; resamples without a value (NaN) are left out.

    Args:
        values: [samples, ...].
        confidence: e.g. .95.

    Returns:
        Two arrays [...]; NaN where no resample has a value.
    """
    values = np.asarray(values, dtype=np.float64)
    empty = np.isnan(values).all(axis=0)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.nanquantile(np.where(empty, 0.0, values), tails, axis=0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def mean_interval(per_image: np.ndarray, groups: ArrayLike, resampling: Resampling) -> Limits:
    """Bootstrap interval of the mean over images of `per_image` [I] or [I, M]; two arrays [] or [M]."""
    per_image = np.asarray(per_image, dtype=np.float64)

    def average(weights: np.ndarray) -> dict[str, np.ndarray]:
        sums = weights @ per_image
        return {"mean": sums / weights.sum(axis=1).reshape(-1, *[1] * (sums.ndim - 1))}

    return percentile_interval(bootstrap(average, groups, resampling)["mean"], resampling.confidence)


def difference_limits(first: ArrayLike, limits: Limits, second: ArrayLike, others: Limits) -> Limits:
    """Limits of first minus second, of different images, from those of either.

    Variances that limits imply are added on each side of its own (MOVER: Zou & Donner 2008, Stat. Med. 27),
    so limits may lie unevenly, and hold near 0 and 1 where those of the parts do.

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
