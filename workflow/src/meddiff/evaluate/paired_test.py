"""Tests of the difference between two classifiers on the same images, which may be in groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
