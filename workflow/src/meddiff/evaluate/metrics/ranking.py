"""Images in the order of a score, and what follows from their order, as functions of image weights.

A weight says how often an image was drawn in a resample of a bootstrap; weights of 1 give the value of the
images themselves. Everything is written for a matrix of weights [B, I], so that a resample costs a few array
operations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_HALF = 32  # bits of a sum


class Ranking:
    """Ascending order of scores, with groups of ties, and a mark on some images.

    Of tied images everything is the expectation over a random order of them. Weights are whole numbers >= 0
    with a positive sum in every row, which is below 2^31.
    """

    def __init__(self, scores: ArrayLike, marked: ArrayLike) -> None:
        """Rank the images; arguments are [I]."""
        scores = np.asarray(scores)
        self._order = np.argsort(scores, kind="stable")
        self._last = np.append(np.flatnonzero(np.diff(scores[self._order])), len(scores) - 1)
        marked = np.asarray(marked, dtype=bool)[self._order]
        self._units = 1 + (marked.astype(np.int64) << _HALF)

    def cumulative(self, weights: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sums of `weights` [B, I] below each group of ties, and over all: [B, G + 1].

        Returns:
            The sums over all images, and those over marked ones.
        """
        whole = np.asarray(weights, dtype=np.int64)
        # Both sums in one pass, each in its half of the bits: the pass is most of what a resample costs.
        # Column by column in memory, since formulas work on neighbouring columns.
        sums = np.zeros((len(whole), len(self._last) + 1), dtype=np.int64, order="F")
        sums[:, 1:] = (whole.take(self._order, axis=1) * self._units).cumsum(axis=1)[:, self._last]
        return sums & ((1 << _HALF) - 1), sums >> _HALF

    def auroc(self, weights: ArrayLike) -> Floats:
        """[B] share of (marked, other) pairs in the right order, ties counting half; NaN without pairs."""
        count, positives = self.cumulative(weights)
        negatives = count - positives
        below = (negatives[:, :-1] + negatives[:, 1:]) / 2
        ordered = (np.diff(positives, axis=1) * below).sum(axis=1)
        pairs = positives[:, -1] * negatives[:, -1]
        return np.divide(ordered, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)

    def average_precision(self, weights: ArrayLike) -> Floats:
        """[B] mean over marked images of the precision of all that score as high; NaN without marked ones.

        The sum of the steps of recall times precision, without interpolation, as in scikit-learn; the images
        of a group of ties come together.
        """
        count, positives = self.cumulative(weights)
        found, above = positives[:, -1:] - positives[:, :-1], count[:, -1:] - count[:, :-1]
        precision = found / np.maximum(above, 1)  # of no image there is no step of recall either
        total = positives[:, -1]
        steps = (np.diff(positives, axis=1) * precision).sum(axis=1)
        return np.divide(steps, total, out=np.full(len(total), np.nan), where=total > 0)

    def mean_risk(self, weights: ArrayLike) -> Floats:
        """[B] area under the risk-coverage curve: the mean over k of the share marked of the k lowest scores.

        For a group of m tied images, e of them marked, after `a` images of which E were marked, the expected
        shares are (E + e j / m) / (a + j), j = 1..m. They sum to E h + e / m (m - a h), h = H(a + m) - H(a)
        with the harmonic numbers H.
        """
        count, errors = self.cumulative(weights)
        size = np.diff(count, axis=1)
        total = count[:, -1]
        harmonic = np.append(0.0, np.cumsum(1.0 / np.arange(1, int(total.max()) + 1)))
        h = np.diff(harmonic[count], axis=1)
        rate = np.diff(errors, axis=1) / np.maximum(size, 1)  # a group of none has no errors either
        return (errors[:, :-1] * h + rate * (size - count[:, :-1] * h)).sum(axis=1) / total

    def mean_generalized_risk(self, weights: ArrayLike) -> Floats:
        """[B] area under the generalized risk-coverage curve (Traub et al. 2024, NeurIPS), within [0, 1/2].

        The generalized risk at a coverage is the share of all images that are kept and marked. The area is
        that of the trapezoids, so it equals (1 - AUROC of the marks) a (1 - a) + (1 - a)^2 / 2 with the share
        `a` that is not marked.
        """
        count, errors = self.cumulative(weights)
        areas = (errors[:, :-1] + errors[:, 1:]) / 2 * np.diff(count, axis=1)
        return areas.sum(axis=1) / count[:, -1].astype(np.float64) ** 2

    def share_of_rest(self, weights: ArrayLike, removed_percent: ArrayLike) -> Floats:
        """[B, R] share marked of what is left after the highest scores are removed.

        Args:
            weights: [B, I].
            removed_percent: [R] shares removed, within [0, 100); at least one image is always left.
        """
        count, marks = self.cumulative(weights)
        left = np.maximum(np.rint(count[:, -1:] * (100 - np.asarray(removed_percent)) / 100), 1)
        # Among tied images the number of marked ones grows linearly: the expectation over their order.
        kept = [np.interp(k, n, h) for k, n, h in zip(left, count, marks, strict=True)]
        return np.stack(kept) / left
