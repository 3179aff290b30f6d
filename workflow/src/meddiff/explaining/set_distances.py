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

from meddiff.evaluate.settings import Resampling
from meddiff.evaluate.statistics import bootstrap_weights, percentile_interval
from meddiff.explaining import similarity

KID, KID_HALVES, KID_SOURCE, FID = "kid", "kid_halves", "kid_source", "fid"
SET_METRICS = [KID, KID_HALVES, KID_SOURCE, FID]

# Below this a set says next to nothing about its distribution: the spread of KID is of its own size.
FEWEST_IMAGES = 10
# FID is biased by the number of images (Chong & Forsyth 2020): with two images for each of 512 dimensions
# two samples of one distribution are 130 apart. From ten on that is a small part of what classes differ by.
FID_IMAGES_PER_DIMENSION = 10

# Value, limits, number of images, and why there is none.
Result = tuple[float, float, float, int, str]


def left_out(n: int, note: str) -> Result:
    """A result that cannot be given, of `n` images, and why."""
    return float("nan"), float("nan"), float("nan"), n, note


def set_distances(
    sets: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray], settings: Resampling
) -> dict[str, Result]:
    """`SET_METRICS` of one direction.

    Args:
        sets: features [N, D] of `generated` (the counterfactuals), of the real images of the `target` class
            and of those of the `source` class.
        groups: the group of each image, under the same names.
        settings: of the resampling.

    Returns:
        Metric -> result; FID without limits, because a resample of images repeats some of them, which FID
        takes for a narrower distribution.
    """
    generated, target = sets["generated"], sets["target"]
    return {
        KID: _kid(sets, groups, "generated", settings),
        KID_HALVES: _kid_of_halves(target, groups["target"], settings),
        KID_SOURCE: _kid(sets, groups, "source", settings),
        FID: _fid(generated, target),
    }


def _kid(
    sets: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray], name: str, settings: Resampling
) -> Result:
    """KID of the set `name` and the real images of the target, with a bootstrap interval."""
    ours, target = sets[name], sets["target"]
    if min(len(ours), len(target)) < FEWEST_IMAGES:
        what = "counterfactuals" if name == "generated" else "real images of the source"
        sizes = f"{len(ours)} {what} and {len(target)} real images"
        return left_out(len(ours), f"too few images: {sizes}, {FEWEST_IMAGES} of each are needed")
    kernel = similarity.KernelDistance(ours, target)
    value = float(kernel(np.ones((1, len(ours))), np.ones((1, len(target))))[0])
    draws = [
        np.concatenate(list(bootstrap_weights(of, settings.bootstrap_samples, settings.bootstrap_seed + i)))
        for i, of in enumerate((groups[name], groups["target"]))
    ]
    low, high = percentile_interval(kernel(*draws), settings.confidence)
    return value, float(low), float(high), len(ours), ""


def _kid_of_halves(real: np.ndarray, groups: np.ndarray, settings: Resampling) -> Result:
    """Mean and range of KID between random halves of `real` that share no group."""
    names, index = np.unique(groups, return_inverse=True)
    if len(names) < 2 * FEWEST_IMAGES:
        note = f"too few images: {len(names)} groups of real images, {2 * FEWEST_IMAGES} are needed"
        return left_out(len(real), note)
    generator = np.random.default_rng(settings.bootstrap_seed)
    ranks = generator.random((settings.bootstrap_samples, len(names))).argsort(axis=1).argsort(axis=1)
    first = (ranks < len(names) // 2)[:, index].astype(np.float64)
    draws = similarity.KernelDistance(real, real)(first, 1.0 - first)
    low, high = percentile_interval(draws, settings.confidence)
    return float(draws.mean()), float(low), float(high), len(real), ""


def _fid(generated: np.ndarray, target: np.ndarray) -> Result:
    fewest, dimensions = min(len(generated), len(target)), target.shape[1]
    if fewest < FID_IMAGES_PER_DIMENSION * dimensions:
        needed = f"{FID_IMAGES_PER_DIMENSION} for each are needed"
        note = f"too few images for FID: {fewest} for {dimensions} feature dimensions, {needed}"
        return left_out(len(generated), note)
    distance = similarity.frechet_distance(generated, target)
    return distance, float("nan"), float("nan"), len(generated), ""
