"""How far counterfactuals are from the real images of their target class, beside what real images are.

KID alone has no scale: it depends on the feature network and on the classes. Two distances of real images
from real ones, with the same features, say how to read it. That of random halves of the target's real images
is what perfect counterfactuals would have: zero on average, since the estimate is unbiased, with the spread
of so few images. That of the source's real images to the target's is what images without any change would
have.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import linalg

from meddiff.evaluate.statistics import Resampling, bootstrap_weights, percentile_interval
from meddiff.explaining.metrics import FID, FID_IMAGES_PER_DIMENSION, KID, KID_HALVES, KID_SOURCE

# Below this a set says next to nothing about its distribution: the spread of KID is of its own size.
FEWEST_IMAGES = 10

# Value, limits, number of images, and why there is none.
Result = tuple[float, float, float, int, str]


def left_out(n: int, note: str) -> Result:
    """A result that cannot be given, of `n` images, and why."""
    return float("nan"), float("nan"), float("nan"), n, note


def set_distances(
    sets: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray], resampling: Resampling
) -> dict[str, Result]:
    """`meddiff.explaining.metrics.SET_METRICS` of one direction.

    Args:
        sets: features [N, D] of `generated` (the counterfactuals), of the real images of the `target` class
            and of those of the `source` class.
        groups: the group of each image, under the same names.
        resampling: how intervals are made.

    Returns:
        Metric -> result; FID without limits, because a resample of images repeats some of them, which FID
        takes for a narrower distribution.
    """
    generated, target = sets["generated"], sets["target"]
    return {
        KID: _kid(sets, groups, "generated", resampling),
        KID_HALVES: _kid_of_halves(target, groups["target"], resampling),
        KID_SOURCE: _kid(sets, groups, "source", resampling),
        FID: _fid(generated, target),
    }


def _kid(
    sets: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray], name: str, resampling: Resampling
) -> Result:
    """KID of the set `name` and the real images of the target, with a bootstrap interval."""
    ours, target = sets[name], sets["target"]
    if min(len(ours), len(target)) < FEWEST_IMAGES:
        what = "counterfactuals" if name == "generated" else "real images of the source"
        sizes = f"{len(ours)} {what} and {len(target)} real images"
        return left_out(len(ours), f"too few images: {sizes}, {FEWEST_IMAGES} of each are needed")
    kernel = KernelDistance(ours, target)
    value = float(kernel(np.ones((1, len(ours))), np.ones((1, len(target))))[0])
    draws = [
        np.concatenate(
            list(bootstrap_weights(of, resampling.bootstrap_samples, resampling.bootstrap_seed + i))
        )
        for i, of in enumerate((groups[name], groups["target"]))
    ]
    low, high = percentile_interval(kernel(*draws), resampling.confidence)
    return value, float(low), float(high), len(ours), ""


def _kid_of_halves(real: np.ndarray, groups: np.ndarray, resampling: Resampling) -> Result:
    """Mean and range of KID between random halves of `real` that share no group."""
    names, index = np.unique(groups, return_inverse=True)
    if len(names) < 2 * FEWEST_IMAGES:
        note = f"too few images: {len(names)} groups of real images, {2 * FEWEST_IMAGES} are needed"
        return left_out(len(real), note)
    generator = np.random.default_rng(resampling.bootstrap_seed)
    ranks = generator.random((resampling.bootstrap_samples, len(names))).argsort(axis=1).argsort(axis=1)
    first = (ranks < len(names) // 2)[:, index].astype(np.float64)
    draws = KernelDistance(real, real)(first, 1.0 - first)
    low, high = percentile_interval(draws, resampling.confidence)
    return float(draws.mean()), float(low), float(high), len(real), ""


def _fid(generated: np.ndarray, target: np.ndarray) -> Result:
    fewest, dimensions = min(len(generated), len(target)), target.shape[1]
    if fewest < FID_IMAGES_PER_DIMENSION * dimensions:
        needed = f"{FID_IMAGES_PER_DIMENSION} for each are needed"
        note = f"too few images for FID: {fewest} for {dimensions} feature dimensions, {needed}"
        return left_out(len(generated), note)
    distance = frechet_distance(generated, target)
    return distance, float("nan"), float("nan"), len(generated), ""


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    """Fréchet distance of the two Gaussians with the sets' means and covariances (Heusel et al. 2017).

    Args:
        features, others: [N, D] and [M, D]; more images than dimensions, or a covariance is singular.
    """
    mean = features.mean(axis=0) - others.mean(axis=0)
    a, b = np.atleast_2d(np.cov(features, rowvar=False)), np.atleast_2d(np.cov(others, rowvar=False))
    # The eigenvalues of a product of two positive semidefinite matrices are real and not negative; the
    # trace of its square root is the sum of their roots.
    roots = np.sqrt(np.clip(linalg.eigvals(a @ b).real, 0.0, None))
    return float(mean @ mean + np.trace(a) + np.trace(b) - 2.0 * roots.sum())


class KernelDistance:
    """Unbiased squared maximum mean discrepancy of two sets with weighted images.

    The kernel is KID's, (x . y / D + 1)^3 (Bińkowski et al. 2018). With weights of 1 the value is KID's on
    all images; a bootstrap resample is a row of weights, and pairs of an image with itself never count,
    however often it was drawn.
    """

    def __init__(self, features: np.ndarray, others: np.ndarray) -> None:
        """Compute the kernels of [N, D] and [M, D] features, N and M at least 2."""
        dimensions = features.shape[1]

        def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return (x.astype(np.float64) @ y.astype(np.float64).T / dimensions + 1.0) ** 3

        self._within = kernel(features, features), kernel(others, others)
        for matrix in self._within:
            np.fill_diagonal(matrix, 0.0)
        self._between = kernel(features, others)

    def __call__(self, weights: np.ndarray, other_weights: np.ndarray) -> np.ndarray:
        """[B] values for weights [B, N] and [B, M]; NaN where a set has fewer than two different images."""
        total = np.zeros(len(weights))
        for matrix, w in zip(self._within, (weights, other_weights), strict=True):
            pairs = w.sum(axis=1) ** 2 - (w**2).sum(axis=1)
            sums = ((w @ matrix) * w).sum(axis=1)
            total += np.divide(sums, pairs, out=np.full(len(w), np.nan), where=pairs > 0)
        crossing = ((weights @ self._between) * other_weights).sum(axis=1)
        return total - 2.0 * crossing / (weights.sum(axis=1) * other_weights.sum(axis=1))
