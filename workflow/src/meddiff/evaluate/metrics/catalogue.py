"""The list of metrics: each is written once, as a function of image weights, with what is said of it.

A bootstrap resample is a row of weights: how often each image was drawn. Weights of 1 give the value of the
images themselves. Conventions, for K classes:
    accuracy, balanced_accuracy (mean recall over classes).
    precision, recall, f1: of class 1 for K = 2 as in the paper, unweighted mean over classes otherwise.
        A class that is never predicted has precision and F1 of 0 (``zero_division=0``).
    mcc: Matthews' correlation coefficient, for K > 2 that of Gorodkin (2004, Comput. Biol. Chem. 28); 0 where
        all images are decided alike.
    auroc, average_precision: of class 1 for K = 2, unweighted mean of one-versus-rest otherwise. Images are
        ranked by `meddiff.evaluate.metrics.images.ranking_scores`.
    brier: mean (p_1 - y)^2 for K = 2; mean over images of sum_k (p_k - y_k)^2 otherwise.
    nll: mean -ln p_label. Vote shares v / N are smoothed to (v + 1/2) / (N + K / 2), since a class
        without votes is not impossible; other probabilities are clipped at the float64 epsilon, 2.2e-16.
        N is always that of the full run: shares of an image that stopped are those to be expected of it
        under the same prior (`meddiff.diffusion.vote`), so that v votes of n end as (v + 1/2) / (n + K / 2).
    ece: expected calibration error of the predicted class, 15 equal-width bins (a, b] (Guo et al. 2017).
    smooth_ece: that without bins (`meddiff.evaluate.metrics.reliability`).
    calibration_slope, calibration_intercept: of class 1 for K = 2, of the predicted class otherwise;
        undefined where logits separate the outcomes. Vote shares are smoothed as for nll.
    <metric>_calibrated: the same of calibrated probabilities and the most probable class by them, which knows
        how frequent the classes are; where predictions have them, and for those of `OF_CALIBRATED`.
    aurc_<kind>, augrc_<kind>: areas under the risk-coverage curve and the generalized one, of each kind of
        uncertainty (`meddiff.evaluate.metrics.ranking`).

    sensitivity, specificity, ppv, npv: of two classes at an operating point; NaN where they are of no image.

Metrics of classes are NaN where a class has no image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from meddiff.evaluate.metrics import reliability
from meddiff.evaluate.metrics.images import Images, WeightedImages
from meddiff.evaluate.metrics.ranking import Floats, Ranking

AURC, AUGRC, CALIBRATED = "aurc_", "augrc_", "_calibrated"
# Weights of errors in the mean of risks over coverages are sums of 1/k: their mean is 1, of their squares 2.
AURC_SQUARES = 2.0
# In that of generalized risks, as a share of its largest value, they fall from 2 to 0.
AUGRC_SQUARES = 4 / 3
KINDS = {"vote_entropy": "vote entropy", "t_score": "t-score", "softmax_entropy": "softmax entropy"}

Limits = tuple[float, float]


@dataclass(frozen=True)
class Metric:
    """A metric, and what tables and intervals (`meddiff.evaluate.intervals`) need to know of it.

    Attributes:
        title: heading of its column.
        value: [B] values of images with weights; NaN where it is undefined.
        range: the least and the largest value that it can have.
        range_of_two: the same for two classes, where that is narrower.
        of_classes: whether it is that of the last of two classes, and of more the mean over classes.
        higher_is_better: whether it is; None where a value between is best.
        calibrated: whether it is of calibrated probabilities.
        among: the images [I] (bool) among which it is the share that is decided rightly; None where it is no
            such share.
        from_share: what it is of that share.
        worth: as a share of how many images it varies at most: of those of each class (``classes``), of pairs
            of a positive and a negative one (``pairs``), of the positive ones (``positives``), or of all.
        squares: mean square of the weights of errors, whose mean is 1, in a mean over all images.
    """

    title: str
    value: Callable[[WeightedImages], Floats]
    range: Limits = (0.0, 1.0)
    range_of_two: Limits | None = None
    of_classes: bool = False
    higher_is_better: bool | None = True
    calibrated: bool = False
    among: Callable[[Images], np.ndarray | None] = lambda images: None
    from_share: Callable[[float], float] = lambda share: share
    worth: Literal["classes", "pairs", "positives", "images"] = "images"
    squares: float = 1.0

    def limits(self, classes: int) -> Limits:
        """The least and the largest value for this many classes."""
        return self.range_of_two if classes == 2 and self.range_of_two is not None else self.range


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _share_of(k: int, hits: Floats, among: Floats) -> Floats:
    """[B] hits of class k among [B, K] images; NaN where there are none."""
    return np.divide(hits[:, k], among[:, k], out=np.full(len(hits), np.nan), where=among[:, k] > 0)


def _mcc(images: WeightedImages) -> Floats:
    labelled, decided = images.labelled, images.decided
    total = labelled.sum(axis=1)
    covariance = images.hits.sum(axis=1) * total - (labelled * decided).sum(axis=1)
    variances = [total**2 - (numbers**2).sum(axis=1) for numbers in (labelled, decided)]
    return images.defined(_ratio(covariance, np.sqrt(variances[0] * variances[1])))


def _for_two(among: Callable[[Images], np.ndarray]) -> Callable[[Images], np.ndarray | None]:
    return lambda images: among(images) if images.classes == 2 else None


def _areas(kind: str, title: str) -> dict[str, Metric]:
    """The metrics of one kind of uncertainty."""

    def area(of: Callable[[Ranking, np.ndarray], Floats]) -> Callable[[WeightedImages], Floats]:
        return lambda images: of(images.images.by_certainty[kind], images.weights)

    lower = partial(Metric, higher_is_better=False)
    return {
        AURC + kind: lower(f"AURC {title}", area(Ranking.mean_risk), squares=AURC_SQUARES),
        AUGRC + kind: lower(
            f"AUGRC {title}", area(Ranking.mean_generalized_risk), range=(0.0, 0.5), squares=AUGRC_SQUARES
        ),
    }


def _line(of: Callable[[np.ndarray, np.ndarray, np.ndarray], Floats]) -> Callable[[WeightedImages], Floats]:
    return lambda images: of(images.images.events.logit, images.images.events.happened, images.weights)


_of_classes = partial(Metric, of_classes=True, worth="classes")
METRICS: dict[str, Metric] = {
    "accuracy": Metric(
        "Accuracy",
        lambda of: of.mean(of.images.correct),
        among=lambda images: np.ones(len(images.label), dtype=bool),
    ),
    "balanced_accuracy": Metric(
        "Balanced acc.",
        lambda of: of.defined(_ratio(of.hits, of.labelled).mean(axis=1)),
        worth="classes",
    ),
    "precision": _of_classes(
        "Precision",
        lambda of: of.of_shown(_ratio(of.hits, of.decided)),
        among=_for_two(lambda images: images.predicted == 1),
    ),
    "recall": _of_classes(
        "Recall",
        lambda of: of.of_shown(_ratio(of.hits, of.labelled)),
        among=_for_two(lambda images: images.label == 1),
    ),
    "f1": _of_classes(
        "F1",
        lambda of: of.of_shown(_ratio(2 * of.hits, of.labelled + of.decided)),
        # 2 J / (1 + J) of the share J of true positives among the images that are or are said to be positive.
        among=_for_two(lambda images: (images.label == 1) | (images.predicted == 1)),
        from_share=lambda share: 2 * share / (1 + share),
    ),
    "mcc": Metric("MCC", _mcc, range=(-1.0, 1.0), worth="classes"),
    "auroc": Metric("AUROC", lambda of: of.of_rankings(Ranking.auroc), of_classes=True, worth="pairs"),
    "average_precision": Metric(
        "Average precision",
        lambda of: of.of_rankings(Ranking.average_precision),
        of_classes=True,
        worth="positives",
    ),
    "brier": Metric(
        "Brier",
        lambda of: of.mean(of.images.distances),
        range=(0.0, 2.0),
        range_of_two=(0.0, 1.0),
        higher_is_better=False,
    ),
    "nll": Metric("NLL", lambda of: of.mean(of.images.losses), range=(0.0, np.inf), higher_is_better=False),
    "calibration_slope": Metric(
        "Calibration slope", _line(reliability.slope), range=(-np.inf, np.inf), higher_is_better=None
    ),
    "calibration_intercept": Metric(
        "Calibration intercept", _line(reliability.intercept), range=(-np.inf, np.inf), higher_is_better=None
    ),
    "smooth_ece": Metric(
        "Smooth ECE", lambda of: of.images.smooth_calibration(of.real), higher_is_better=False
    ),
    "ece": Metric("ECE", lambda of: of.images.calibration(of.real), higher_is_better=False),
}
for _kind, _title in KINDS.items():
    METRICS |= _areas(_kind, _title)

# Of two classes, where images are decided by a threshold (`meddiff.evaluate.metrics.operating_point`).
AT_POINT: dict[str, Metric] = {
    "sensitivity": Metric(
        "Sensitivity", lambda of: _share_of(1, of.hits, of.labelled), among=lambda images: images.label == 1
    ),
    "specificity": Metric(
        "Specificity", lambda of: _share_of(0, of.hits, of.labelled), among=lambda images: images.label == 0
    ),
    "ppv": Metric(
        "PPV", lambda of: _share_of(1, of.hits, of.decided), among=lambda images: images.predicted == 1
    ),
    "npv": Metric(
        "NPV", lambda of: _share_of(0, of.hits, of.decided), among=lambda images: images.predicted == 0
    ),
}
THRESHOLD = "threshold"  # the lowest probability that is called positive there

OF_CALIBRATED = ["accuracy", "balanced_accuracy", "brier", "nll"]
OF_CALIBRATED += ["calibration_slope", "calibration_intercept", "smooth_ece", "ece"]


def _of_calibrated(metric: Metric) -> Metric:
    return replace(
        metric,
        title=f"{metric.title}, calibrated",
        value=lambda images: metric.value(images.calibrated),
        calibrated=True,
    )


def find(name: str) -> Metric | None:
    """The metric of this name, also of a kind of uncertainty that is not in `KINDS`; None for another one."""
    if (of := name.removesuffix(CALIBRATED)) != name and of in OF_CALIBRATED:
        return _of_calibrated(METRICS[of])
    for family in (AURC, AUGRC):
        if name not in METRICS and name.startswith(family):
            kind = name.removeprefix(family)
            return _areas(kind, kind.replace("_", " "))[name]
    return METRICS.get(name) or AT_POINT.get(name)


class WeightedMetrics:
    """Metrics of one predictions table as functions of image weights.

    Attributes:
        images: what was read of the table.
        metrics: name -> metric, those of the list, and for each kind of uncertainty that the table has.
    """

    def __init__(self, table: pd.DataFrame, vote_shares: bool, names: Iterable[str] | None = None) -> None:
        """Prepare everything that does not depend on the weights.

        Args:
            table, vote_shares: as of `Images`.
            names: the metrics wanted; all by default.
        """
        self.images = Images(table, vote_shares)
        if names is None:
            names = [name for name in METRICS if not name.startswith((AURC, AUGRC))]
            names += [family + kind for kind in self.images.kinds for family in (AURC, AUGRC)]
            names += [name + CALIBRATED for name in OF_CALIBRATED if self.images.calibrated is not None]
        self.metrics = {name: find(name) for name in names}

    def __call__(self, weights: np.ndarray) -> dict[str, Floats]:
        """Metric -> [B] values for weights [B, I] (`WeightedImages`), in the order of the list."""
        images = WeightedImages(self.images, weights)
        return {name: metric.value(images) for name, metric in self.metrics.items()}

    def values(self) -> dict[str, float]:
        """Metric -> value of the images themselves."""
        found = self(np.ones((1, len(self.images.label)), dtype=np.int64))
        return {name: float(value[0]) for name, value in found.items()}


def point_metrics(table: pd.DataFrame, vote_shares: bool) -> dict[str, float]:
    """Metric -> value of a predictions table; arguments as of `Images`."""
    return WeightedMetrics(table, vote_shares).values()
