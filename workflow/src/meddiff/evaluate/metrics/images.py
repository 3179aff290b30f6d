"""What metrics are functions of: the images of a predictions table, with weights.

A bootstrap resample is a row of weights: how often each image was drawn. Weights of 1 give the value of the
images themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from meddiff.evaluate.metrics.ranking import Floats, Ranking
from meddiff.evaluate.metrics.reliability import SmoothError
from meddiff.readout import predictions as tables

BINS = 15
_NEARLY_ONE = 1 - 1e-6  # from here on the other probabilities have more digits


class Images:
    """What metrics need to know of the images of one predictions table; the same for all weights."""

    def __init__(self, table: pd.DataFrame, vote_shares: bool) -> None:
        """Read a predictions table.

        Args:
            table: `meddiff.readout.predictions`.
            vote_shares: whether the probabilities are shares of votes, which `nll` smooths and AUROC ranks
                as they are.
        """
        self.table, self.vote_shares = table, vote_shares
        self.label, self.predicted = table["label"].to_numpy(), table["prediction"].to_numpy()
        self.groups = table["group"].to_numpy()
        self.correct = tables.is_correct(table)
        self.p = tables.probabilities(table)
        self.classes = self.p.shape[1]
        # Classes that a metric of classes is a mean over.
        self.shown = np.array([1]) if self.classes == 2 else np.arange(self.classes)
        self.kinds = list(tables.uncertainties(table))

    @cached_property
    def cells(self) -> Floats:
        """[I, K * K] the cell of the confusion matrix that each image is in."""
        return np.eye(self.classes**2)[self.label * self.classes + self.predicted]

    @cached_property
    def rankings(self) -> list[Ranking]:
        """Images by the score of each class in `shown`, those of the class being marked."""
        scores = ranking_scores(self.p, self.vote_shares)
        return [Ranking(scores[:, k], self.label == k) for k in self.shown]

    @cached_property
    def by_certainty(self) -> dict[str, Ranking]:
        """Kind of uncertainty -> images from certain to uncertain, those decided wrongly being marked."""
        return {kind: Ranking(u, ~self.correct) for kind, u in tables.uncertainties(self.table).items()}

    @cached_property
    def distances(self) -> Floats:
        """[I] squared distance of the probabilities from the truth; half of it for two classes."""
        squares = ((self.p - np.eye(self.classes)[self.label]) ** 2).sum(axis=1)
        return squares / (2 if self.classes == 2 else 1)

    @cached_property
    def losses(self) -> Floats:
        """[I] `label_losses`."""
        return label_losses(self.table, self.vote_shares)

    @cached_property
    def calibration(self) -> CalibrationError:
        """Of the predicted class."""
        return CalibrationError(confidences(self.table), self.correct)

    @cached_property
    def smooth_calibration(self) -> SmoothError:
        """Of the predicted class, without bins."""
        return SmoothError(confidences(self.table), self.correct.astype(np.float64))

    @cached_property
    def events(self) -> Events:
        """What calibration curves, slopes and intercepts are of."""
        p = smoothed_shares(self.table) if self.vote_shares else self.p
        if self.classes == 2:
            return Events(p[:, 1], p[:, 0], self.label == 1)
        of_predicted = p[np.arange(len(p)), self.predicted]
        others = np.where(np.arange(self.classes) == self.predicted[:, None], 0.0, p).sum(axis=1)
        return Events(of_predicted, others, self.correct)

    @cached_property
    def calibrated(self) -> Images | None:
        """The same images with calibrated probabilities, decided for the most probable class."""
        p = tables.calibrated(self.table)
        if p is None:
            return None
        columns = {
            tables.PROBABILITY + name: p[:, k] for k, name in enumerate(tables.class_names(self.table))
        }
        return Images(self.table.assign(**columns, prediction=p.argmax(axis=1)), vote_shares=False)


@dataclass(frozen=True)
class Events:
    """Probabilities of an event of each image, and whether it happened: see the module of `SmoothError`.

    Attributes:
        probability: [I].
        opposite: [I] 1 - probability, with the digits that it has where it is small.
        happened: bool [I].
    """

    probability: Floats
    opposite: Floats
    happened: np.ndarray

    @cached_property
    def logit(self) -> Floats:
        """[I] log odds of the probability, clipped as by `label_losses`."""
        least = np.finfo(np.float64).eps
        return np.log(np.maximum(self.probability, least)) - np.log(np.maximum(self.opposite, least))


class WeightedImages:
    """Images with weights [B, I]: whole numbers >= 0 with a positive sum in every row."""

    def __init__(self, images: Images, weights: np.ndarray) -> None:
        self.images, self.weights = images, weights
        self.real = np.asarray(weights, dtype=np.float64)

    @cached_property
    def calibrated(self) -> WeightedImages:
        """The same images with calibrated probabilities, which they must have."""
        return WeightedImages(self.images.calibrated, self.weights)

    @cached_property
    def confusion(self) -> Floats:
        """[B, label, prediction] numbers of images."""
        return (self.real @ self.images.cells).reshape(-1, self.images.classes, self.images.classes)

    @property
    def hits(self) -> Floats:
        """[B, K] images of each class that are decided for it."""
        return np.einsum("bkk->bk", self.confusion)

    @property
    def labelled(self) -> Floats:
        """[B, K] images of each class."""
        return self.confusion.sum(axis=2)

    @property
    def decided(self) -> Floats:
        """[B, K] images that are decided for each class."""
        return self.confusion.sum(axis=1)

    def mean(self, per_image: np.ndarray) -> Floats:
        """[B] mean over images of `per_image` [I]."""
        return self.real @ per_image / self.real.sum(axis=1)

    def defined(self, values: Floats) -> Floats:
        """`values` [B], and NaN where a class has no image."""
        return np.where((self.labelled == 0).any(axis=1), np.nan, values)

    def of_shown(self, values: Floats) -> Floats:
        """[B] mean over the classes that are meant of `values` [B, K]."""
        return self.defined(values[:, self.images.shown].mean(axis=1))

    def of_rankings(self, area: Callable[[Ranking, np.ndarray], Floats]) -> Floats:
        """[B] mean of an area over the rankings of these classes."""
        return self.defined(
            np.mean([area(ranking, self.weights) for ranking in self.images.rankings], axis=0)
        )


def label_losses(table: pd.DataFrame, vote_shares: bool) -> np.ndarray:
    """[I] negative log-likelihood of each label, in nats; see the module for smoothing and clipping."""
    p = smoothed_shares(table) if vote_shares else tables.probabilities(table)
    of_label = p[np.arange(len(p)), table["label"].to_numpy()]
    return -np.log(np.clip(of_label, np.finfo(np.float64).eps, 1.0))


def smoothed_shares(table: pd.DataFrame) -> np.ndarray:
    """[I, K] shares of votes with half a vote more for each class."""
    shares, steps = tables.probabilities(table), table["steps"].to_numpy()[:, None]
    return (shares * steps + 0.5) / (steps + shares.shape[1] / 2)


def confidences(table: pd.DataFrame) -> np.ndarray:
    """[I] probability of the predicted class."""
    p = tables.probabilities(table)
    return p[np.arange(len(p)), table["prediction"].to_numpy()]


def ranking_scores(probabilities: np.ndarray, vote_shares: bool) -> np.ndarray:
    """[I, K] what images are ranked by: the probabilities, or their ranks where some round to 1.

    Vote shares are equal where votes are. Other probabilities that round to 1 are ranked by what is left for
    the other classes.

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


class CalibrationError:
    """Sum over bins of their share of images times |accuracy - mean confidence|, within [0, 1]."""

    def __init__(self, confidence: np.ndarray, correct: np.ndarray) -> None:
        """Bin the images; arguments are [I]."""
        self._gaps = np.eye(BINS)[bin_index(confidence)] * (correct - confidence)[:, None]

    def __call__(self, weights: np.ndarray) -> Floats:
        """[B] values for weights [B, I]."""
        return np.abs(weights @ self._gaps).sum(axis=1) / weights.sum(axis=1)
