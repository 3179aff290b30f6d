"""The metrics of `meddiff.evaluate.metrics` for many resamples at once.

A bootstrap resample is a row of weights: how often each image was drawn. All metrics are written for a
matrix of weights [B, I], so that a resample costs a few array operations. With weights of 1 the values are
those of `point_metrics`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from meddiff.evaluate import metrics
from meddiff.evaluate import predictions as tables

_HALF = 32  # bits of a sum


class Discrimination:
    """Accuracy, balanced accuracy, precision, recall, F1 and AUROC of one predictions table."""

    def __init__(self, table: pd.DataFrame, vote_shares: bool) -> None:
        """Prepare everything that does not depend on the weights; arguments as in `point_metrics`."""
        p = tables.probabilities(table)
        self.classes = p.shape[1]
        y, predicted = table["label"].to_numpy(), table["prediction"].to_numpy()
        self._confusion = np.eye(self.classes**2)[y * self.classes + predicted]
        scores = metrics.ranking_scores(p, vote_shares)
        ranked = [1] if self.classes == 2 else range(self.classes)
        self._rankings = [_Ranking(scores[:, k], y == k) for k in ranked]

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Metric -> [B] values.

        Args:
            weights: [B, I] whole numbers >= 0 with a positive sum in every row.
        """
        values = self._from_confusion(np.asarray(weights, dtype=np.float64) @ self._confusion)
        values["auroc"] = np.mean([_auroc(weights, ranking) for ranking in self._rankings], axis=0)
        return values

    def _from_confusion(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        confusion = counts.reshape(-1, self.classes, self.classes)  # [B, label, prediction]
        hits = np.einsum("bkk->bk", confusion)
        labelled, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
        absent = np.where((labelled == 0).any(axis=1), np.nan, 0.0)
        recall = _ratio(hits, labelled)
        shown = slice(1, 2) if self.classes == 2 else slice(None)
        per_class = {
            "precision": _ratio(hits, predicted),
            "recall": recall,
            "f1": _ratio(2 * hits, labelled + predicted),
        }
        return {
            "accuracy": hits.sum(axis=1) / counts.sum(axis=1),
            "balanced_accuracy": recall.mean(axis=1) + absent,
            **{name: values[:, shown].mean(axis=1) + absent for name, values in per_class.items()},
        }


class ResampledMetrics(Discrimination):
    """All metrics of one predictions table as functions of image weights."""

    def __init__(self, table: pd.DataFrame, vote_shares: bool) -> None:
        """Prepare everything that does not depend on the weights; arguments as in `point_metrics`."""
        super().__init__(table, vote_shares)
        p = tables.probabilities(table)
        truth = np.eye(self.classes)[table["label"].to_numpy()]
        halve = 0.5 if self.classes == 2 else 1.0
        correct = tables.is_correct(table)
        self._means = {
            "brier": halve * ((p - truth) ** 2).sum(axis=1),
            "nll": metrics.label_losses(table, vote_shares),
        }
        self._ece = CalibrationError(metrics.confidences(table), correct)
        self._aurc = {kind: RiskCoverage(u, correct) for kind, u in tables.uncertainties(table).items()}

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Metric -> [B] values, in the order of `point_metrics`; weights as in `Discrimination`."""
        values = super().__call__(weights)
        real = np.asarray(weights, dtype=np.float64)
        total = real.sum(axis=1)
        values |= {name: real @ per_image / total for name, per_image in self._means.items()}
        values["ece"] = self._ece(real)
        values |= {metrics.AURC + kind: curve(weights) for kind, curve in self._aurc.items()}
        return values


class CalibrationError:
    """`meddiff.evaluate.metrics.expected_calibration_error` as a function of image weights."""

    def __init__(self, confidence: np.ndarray, correct: np.ndarray) -> None:
        """Bin the images; arguments are [I]."""
        self._gaps = np.eye(metrics.BINS)[metrics.bin_index(confidence)] * (correct - confidence)[:, None]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """[B] values for weights [B, I]."""
        return np.abs(weights @ self._gaps).sum(axis=1) / weights.sum(axis=1)


class RiskCoverage:
    """`meddiff.evaluate.metrics.aurc` as a function of image weights."""

    def __init__(self, uncertainty: np.ndarray, correct: np.ndarray) -> None:
        """Rank the images; arguments are [I], larger uncertainty = less certain."""
        self._ranking = _Ranking(uncertainty, ~np.asarray(correct, dtype=bool))

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """[B] values for weights [B, I], whole numbers."""
        return _aurc(weights, self._ranking)


class SelectiveAccuracy:
    """Accuracy of what remains after the most uncertain share is removed, as a function of image weights.

    With weights of 1 it is `meddiff.evaluate.metrics.selective_accuracy`.
    """

    def __init__(self, uncertainty: np.ndarray, correct: np.ndarray) -> None:
        """Rank the images; arguments are [I], larger uncertainty = less certain."""
        self._ranking = _Ranking(uncertainty, correct)

    def __call__(self, weights: np.ndarray, removed_percent: np.ndarray) -> np.ndarray:
        """[B, R] accuracies.

        Args:
            weights: [B, I] whole numbers >= 0 with a positive sum in every row.
            removed_percent: [R] shares removed, within [0, 100); at least one image is always left.
        """
        count, hits = self._ranking.cumulative(weights)
        left = np.maximum(np.rint(count[:, -1:] * (100 - removed_percent) / 100), 1)
        # Among tied images the number of correct ones grows linearly: the expectation over their order.
        kept = [np.interp(k, n, h) for k, n, h in zip(left, count, hits, strict=True)]
        return np.stack(kept) / left


class _Ranking:
    """Ascending order of scores, with groups of ties, and a mark on some images."""

    def __init__(self, scores: np.ndarray, marked: np.ndarray) -> None:
        scores = np.asarray(scores)
        self._order = np.argsort(scores, kind="stable")
        self._last = np.append(np.flatnonzero(np.diff(scores[self._order])), len(scores) - 1)
        marked = np.asarray(marked, dtype=bool)[self._order]
        self._units = 1 + (marked.astype(np.int64) << _HALF)

    def cumulative(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums of `weights` [B, I] below each group of ties, and over all: int64 [B, G + 1].

        Args:
            weights: whole numbers >= 0 whose sum is below 2^31.

        Returns:
            The sums over all images, and those over marked ones.
        """
        whole = np.asarray(weights, dtype=np.int64)
        # Both sums in one pass, each in its half of the bits: the pass is most of what a resample costs.
        # Column by column in memory, since formulas work on neighbouring columns.
        sums = np.zeros((len(whole), len(self._last) + 1), dtype=np.int64, order="F")
        sums[:, 1:] = (whole.take(self._order, axis=1) * self._units).cumsum(axis=1)[:, self._last]
        return sums & ((1 << _HALF) - 1), sums >> _HALF


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _auroc(weights: np.ndarray, ranking: _Ranking) -> np.ndarray:
    """Share of (marked, other) pairs in the right order, ties counting half; NaN without pairs."""
    count, positives = ranking.cumulative(weights)
    negatives = count - positives
    below = (negatives[:, :-1] + negatives[:, 1:]) / 2
    ordered = (np.diff(positives, axis=1) * below).sum(axis=1)
    pairs = positives[:, -1] * negatives[:, -1]
    return np.divide(ordered, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def _aurc(weights: np.ndarray, ranking: _Ranking) -> np.ndarray:
    """Mean risk over coverages in closed form; the marked images are the wrong ones.

    For a group of m tied images, e of them wrong, after `a` images of which E were wrong, the expected
    risks are (E + e j / m) / (a + j), j = 1..m. They sum to E h + e / m (m - a h), h = H(a + m) - H(a)
    with the harmonic numbers H.
    """
    count, errors = ranking.cumulative(weights)
    size = np.diff(count, axis=1)
    total = count[:, -1]
    harmonic = np.append(0.0, np.cumsum(1.0 / np.arange(1, int(total.max()) + 1)))
    h = np.diff(harmonic[count], axis=1)
    rate = np.diff(errors, axis=1) / np.maximum(size, 1)  # a group of none has no errors either
    return (errors[:, :-1] * h + rate * (size - count[:, :-1] * h)).sum(axis=1) / total
