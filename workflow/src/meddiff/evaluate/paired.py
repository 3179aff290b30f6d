"""Paired tests of two classifiers on the same images, which keep the images of a group together.

If neither classifier is better, swapping the two on all images of a patient changes nothing but by chance. Of
accuracies, the distribution of the difference under all swaps is known; of AUROCs, it is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meddiff.evaluate.intervals import pairs_worth
from meddiff.evaluate.metrics.catalogue import METRICS
from meddiff.evaluate.metrics.images import Images, WeightedImages, ranking_scores
from meddiff.evaluate.proportion import Sample, bounded_interval
from meddiff.evaluate.statistics import Resampling, bootstrap

_BLOCK_ELEMENTS = 1 << 20  # of ranks in memory at once


@dataclass(frozen=True)
class PairedTest:
    """Paired permutation test of equal accuracy.

    Attributes:
        only_a: images that only the first classifier has right.
        only_b: images that only the second has right.
        p_value: two-sided mid-p; 1 where no group speaks for either.
    """

    only_a: int
    only_b: int
    p_value: float


def paired_test(correct_a: ArrayLike, correct_b: ArrayLike, groups: ArrayLike) -> PairedTest:
    """Compare two classifiers whose decisions are swapped group by group.

    If neither is better, swapping the two on all images of a patient changes nothing but the sign of what the
    patient adds to the difference. All 2^G ways to do that are equally likely, and p is the share of them
    with a larger difference than the one found, and half of the share with the same (the mid-p value: with
    the whole of it, differences being whole numbers, the test would reject too rarely). The shares follow
    without drawing, by adding group after group to their distribution. Where every image is its own group it
    is McNemar's mid-p test, which Fagerland et al. (2013, BMC Med. Res. Methodol. 13:91) recommend; that test
    does not hold for groups, since it takes each image as a case of its own.

    Args:
        correct_a, correct_b: [I] bool, of the same images in the same order.
        groups: [I] group of each image.

    Raises:
        ValueError: if the numbers of images differ.
    """
    a, b, names = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool), np.asarray(groups)
    if not a.shape == b.shape == names.shape:
        raise ValueError(f"both classifiers need the same images, got {a.shape}, {b.shape} and {names.shape}")
    _, index = np.unique(names, return_inverse=True)
    sums = np.bincount(index, weights=a.astype(float) - b).astype(np.int64)
    return PairedTest(int((a & ~b).sum()), int((b & ~a).sum()), _sign_flips(sums))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """[M] p-values corrected for their number (Holm 1979, Scand. J. Stat. 6).

    The smallest is multiplied by M, the next by M - 1, and so on, none becoming smaller than one before it,
    and none larger than 1. Rejecting what is below a level then has at most that probability of any false
    rejection, whatever the dependence between the tests.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return corrected


def _sign_flips(sums: NDArray[np.int64]) -> float:
    """Mid-p value of sums [G] against the same with random signs, in absolute value."""
    sizes = np.abs(sums[sums != 0])
    span = int(sizes.sum())
    chances = np.zeros(2 * span + 1)  # of the total -span, .., span
    chances[span] = 1.0
    for size in sizes:
        flipped = np.zeros_like(chances)
        flipped[size:] = chances[:-size]
        flipped[:-size] += chances[size:]
        chances = flipped / 2
    totals, found = np.abs(np.arange(-span, span + 1)), abs(int(sums.sum()))
    if not span:
        return 1.0
    return min(float(chances[totals > found].sum() + chances[totals == found].sum() / 2), 1.0)


@dataclass(frozen=True)
class AurocTest:
    """Paired comparison of two AUROCs (of K > 2 classes, means of one-versus-rest).

    Attributes:
        first, second: the AUROCs.
        low, high: interval of first minus second.
        p_value: two-sided.
    """

    first: float
    second: float
    low: float
    high: float
    p_value: float


def auroc_test(first: Images, second: Images, resampling: Resampling) -> AurocTest:
    """Compare two classifiers by AUROC.

    The interval has its variance from the bootstrap over groups, in which both have the same resamples. The
    test swaps the ranks that the two give to images (their scores need not be on the same scale), group by
    group, as Venkatraman & Begg (1996, Biometrika 83) do for images; p is the share of swaps with a
    difference as large as the one found, which is counted among them.

    Args:
        first, second: the same images in the same order.
        resampling: resamples of the interval, and as many swaps.

    Returns:
        NaN throughout where a class has no image.

    Raises:
        ValueError: if the images differ.
    """
    if not (np.array_equal(first.label, second.label) and np.array_equal(first.groups, second.groups)):
        raise ValueError("both classifiers need the same images in the same order")
    auroc = METRICS["auroc"].value

    def both(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"values": np.stack([auroc(WeightedImages(of, weights)) for of in (first, second)], axis=1)}

    values = both(np.ones((1, len(first.label)), dtype=np.int64))["values"][0]
    if np.isnan(values).any():
        return AurocTest(*[float("nan")] * 5)
    draws = bootstrap(both, first.groups, resampling)["values"]
    sample = Sample.of(first.groups)
    # A difference within [-1, 1] as a share of that range.
    variance = sample.bootstrap_variance(draws[:, 0] - draws[:, 1]) / 4
    sizes = np.bincount(first.label, minlength=first.classes).astype(np.float64)
    worth, difference = pairs_worth(float(values.mean()), sizes), float(values[0] - values[1])
    limits = bounded_interval(
        (1 + difference) / 2, variance, worth, sample, resampling.confidence, smallest_effect=0.0
    )
    low, high = (2 * float(limit) - 1 for limit in limits)
    return AurocTest(
        *map(float, values), low, high, share_as_large(swapped_differences(first, second, resampling))
    )


def share_as_large(differences: NDArray[np.float64]) -> float:
    """Two-sided p-value: share of differences as large as the first, which is the one found."""
    found = np.abs(differences)
    return float(np.mean(found >= found[0] - 1e-9))


def swapped_differences(
    first: Images, second: Images, resampling: Resampling, further_seed: int = 0
) -> NDArray[np.float64]:
    """[1 + B] differences of AUROCs, as found and after swaps of ranks, group by group.

    Args:
        first, second: the same images in the same order.
        resampling: number of swaps, and their seed.
        further_seed: added to that seed.

    Returns:
        Sums over the classes shown.
    """
    from scipy.stats import rankdata

    sample = Sample.of(first.groups)
    generator = np.random.default_rng(resampling.bootstrap_seed + further_seed)
    number, groups = resampling.bootstrap_samples, len(sample.sizes)
    swapped = np.concatenate([np.zeros((1, groups), dtype=bool), generator.random((number, groups)) < 0.5])
    ranks = [rankdata(ranking_scores(of.p, of.vote_shares), axis=0) for of in (first, second)]
    differences = []
    block = max(1, _BLOCK_ELEMENTS // sample.images)
    for start in range(0, len(swapped), block):
        swap = swapped[start : start + block, sample.index]
        total = np.zeros(len(swap))
        for k in first.shown:
            a, b = (of[:, k] for of in ranks)
            for sign, own, other in ((1, a, b), (-1, b, a)):
                total += sign * _auroc_of_ranks(np.where(swap, other, own), first.label == k)
        differences.append(total)
    return np.concatenate(differences)


def _auroc_of_ranks(ranks: NDArray[np.float64], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[B] AUROC by what images [B, I] are ranked by, from Mann and Whitney's sum of ranks."""
    from scipy.stats import rankdata

    positives, negatives = int(positive.sum()), int((~positive).sum())
    sums = rankdata(ranks, axis=1)[:, positive].sum(axis=1)
    return (sums - positives * (positives + 1) / 2) / (positives * negatives)
