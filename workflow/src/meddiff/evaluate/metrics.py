"""Point values of all metrics of one predictions table.

Conventions, for K classes:
    accuracy, balanced_accuracy (mean recall over classes).
    precision, recall, f1: of class 1 for K = 2 as in the paper, unweighted mean over classes otherwise.
        A class that is never predicted has precision and F1 of 0 (``zero_division=0``).
    auroc: of class 1 for K = 2, unweighted mean of one-versus-rest otherwise. Images are ranked by the
        probability of the class, vote shares being equal where votes are; other probabilities that round to
        1 are ranked by what is left for the other classes.
    brier: mean (p_1 - y)^2 for K = 2; mean over images of sum_k (p_k - y_k)^2 otherwise.
    nll: mean -ln p_label. Vote shares v / N are smoothed to (v + 1/2) / (N + K / 2), since a class
        without votes is not impossible; other probabilities are clipped at the float64 epsilon, 2.2e-16.
        N is always that of the full run: shares of an image that stopped are those to be expected of it
        under the same prior (`meddiff.diffusion.vote`), so that v votes of n end as (v + 1/2) / (n + K / 2).
    ece: expected calibration error of the predicted class, 15 equal-width bins (a, b] (Guo et al. 2017).
    aurc_<kind>: area under the risk-coverage curve, the mean over k = 1..n of the error rate of the k most
        certain images, in expectation over a random order of tied images.

Balanced accuracy, precision, recall, F1 and AUROC are NaN where a class has no image.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from meddiff.evaluate import predictions as tables

BINS = 15
AURC = "aurc_"
_NEARLY_ONE = 1 - 1e-6  # from here on the other probabilities have more digits


def point_metrics(table: pd.DataFrame, vote_shares: bool) -> dict[str, float]:
    """Metric -> value of a predictions table, in the order of the module's list.

    Args:
        table: a predictions table (`meddiff.evaluate.predictions`).
        vote_shares: whether the probabilities are shares of votes, which `nll` smooths and AUROC ranks
            as they are.
    """
    y, predicted = table["label"].to_numpy(), table["prediction"].to_numpy()
    p = tables.probabilities(table)
    correct = tables.is_correct(table)
    return {
        "accuracy": float(correct.mean()),
        **_class_metrics(y, predicted, p, ranking_scores(p, vote_shares)),
        "brier": _brier(y, p),
        "nll": float(label_losses(table, vote_shares).mean()),
        "ece": expected_calibration_error(confidences(table), correct),
        **{AURC + kind: aurc(values, correct) for kind, values in tables.uncertainties(table).items()},
    }


def label_losses(table: pd.DataFrame, vote_shares: bool) -> np.ndarray:
    """[I] negative log-likelihood of each label, in nats; see the module for smoothing and clipping."""
    p = tables.probabilities(table)
    of_label = p[np.arange(len(p)), table["label"].to_numpy()]
    if vote_shares:
        steps = table["steps"].to_numpy()
        return -np.log((of_label * steps + 0.5) / (steps + p.shape[1] / 2))
    return -np.log(np.clip(of_label, np.finfo(np.float64).eps, 1.0))


def confidences(table: pd.DataFrame) -> np.ndarray:
    """[I] probability of the predicted class."""
    p = tables.probabilities(table)
    return p[np.arange(len(p)), table["prediction"].to_numpy()]


def ranking_scores(probabilities: np.ndarray, vote_shares: bool) -> np.ndarray:
    """[I, K] what AUROC ranks images by: the probabilities, or their ranks where some round to 1.

    Args:
        probabilities: [I, K].
        vote_shares: whether they are shares of votes. Equal votes are equal shares, and a share of 1 is all
            votes; sums of the other shares would be equal only but for rounding.
    """
    if vote_shares or not (probabilities > _NEARLY_ONE).any():
        return probabilities
    scores = []
    for k, own in enumerate(probabilities.T):
        # In ascending order, so that the sum does not depend on that of the classes.
        others = np.sort(np.delete(probabilities, k, axis=1), axis=1).sum(axis=1)
        pairs = np.stack([own, np.where(own > _NEARLY_ONE, -others, 0.0)], axis=1)
        scores.append(np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1))
    return np.stack(scores, axis=1)


def bin_index(confidence: np.ndarray) -> np.ndarray:
    """[I] index 0..14 of the calibration bin (a, b] that holds each confidence; 0 is in the first."""
    return np.searchsorted(np.arange(1, BINS) / BINS, confidence, side="left")


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Sum over bins of their share of images times |accuracy - mean confidence|, within [0, 1]."""
    gaps = np.bincount(bin_index(confidence), weights=correct - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(correct))


def selective_accuracy(uncertainty: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """[n] accuracy of the k most certain images for k = 1..n.

    Where images have the same uncertainty it is the expectation over a random order of them: within a
    group of ties the number of correct images grows linearly.
    """
    order = np.argsort(uncertainty, kind="stable")
    ranked, hits = np.asarray(uncertainty)[order], np.asarray(correct, dtype=np.float64)[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1) + 1
    kept = np.arange(1, len(ranked) + 1)
    total = np.interp(kept, np.append(0, ends), np.append(0, np.cumsum(hits)[ends - 1]))
    return total / kept


def aurc(uncertainty: np.ndarray, correct: np.ndarray) -> float:
    """Area under the risk-coverage curve: mean of 1 - `selective_accuracy`; 0 is best."""
    return float(np.mean(1 - selective_accuracy(uncertainty, correct)))


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Share of (positive, negative) pairs that are ranked in the right order, ties counting half.

    Args:
        scores: [I], larger for positive images.
        positive: [I] bool, with images of both kinds.
    """
    values, index = np.unique(scores, return_inverse=True)
    positives = np.bincount(index[positive], minlength=len(values))
    negatives = np.bincount(index[~positive], minlength=len(values))
    below = negatives.cumsum() - negatives / 2
    return float(positives @ below / (positives.sum() * negatives.sum()))


def _brier(y: np.ndarray, p: np.ndarray) -> float:
    classes = p.shape[1]
    distances = ((p - np.eye(classes)[y]) ** 2).sum(axis=1)
    return float(distances.mean() / (2 if classes == 2 else 1))


def _class_metrics(
    y: np.ndarray, predicted: np.ndarray, p: np.ndarray, scores: np.ndarray
) -> dict[str, float]:
    classes = p.shape[1]
    names = ["balanced_accuracy", "precision", "recall", "f1", "auroc"]
    if len(np.unique(y)) < classes:
        return dict.fromkeys(names, float("nan"))
    confusion = np.bincount(y * classes + predicted, minlength=classes**2).reshape(classes, classes)
    hits, of_class, decided = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    recall = hits / of_class
    precision = np.divide(hits, decided, out=np.zeros(classes), where=decided > 0)
    f1 = 2 * hits / (of_class + decided)
    shown = [1] if classes == 2 else list(range(classes))
    values = [
        recall.mean(),
        precision[shown].mean(),
        recall[shown].mean(),
        f1[shown].mean(),
        np.mean([auroc(scores[:, k], y == k) for k in shown]),
    ]
    return {name: float(value) for name, value in zip(names, values, strict=True)}
