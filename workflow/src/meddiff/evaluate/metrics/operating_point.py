"""The threshold at which a positive image is called positive, chosen on images that are not those tested.

A threshold is one of the scores that were seen, or infinite: images that score as high or higher are called
positive.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from meddiff.config.schema.operating_point import YOUDEN, OperatingPoint
from meddiff.errors import DataError
from meddiff.evaluate.metrics.ranking import Ranking


def threshold(scores: ArrayLike, positive: ArrayLike, rule: OperatingPoint) -> float:
    """The score from which images are called positive.

    By ``youden`` it is where sensitivity + specificity is largest on these images (Youden 1950, Cancer 3),
    and of several such scores the lowest, which finds most. By a least sensitivity it is the highest score
    that reaches it, which leaves the largest specificity; by a least specificity the lowest.

    Args:
        scores: [I] larger for positive images.
        positive: [I] bool.
        rule: how it is chosen.

    Raises:
        DataError: if there are no images of one kind.
    """
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    if positive.all() or not positive.any():
        raise DataError(
            "an operating point is chosen on images of both classes, and the validation split has none of one"
        )
    count, missed = (sums[0] for sums in Ranking(scores, positive).cumulative(np.ones((1, len(scores)))))
    spared = count - missed  # of the negative images; both are of those below each score, and below infinity
    positives, negatives = int(positive.sum()), int((~positive).sum())
    values = np.append(np.unique(scores), np.inf)
    if rule == YOUDEN:
        return float(values[np.argmax(spared * positives - missed * negatives)])
    if rule.sensitivity is not None:
        return float(values[np.flatnonzero(positives - missed >= _number(rule.sensitivity, positives))[-1]])
    return float(values[np.flatnonzero(spared >= _number(rule.specificity, negatives))[0]])


def _number(share: float, of: int) -> int:
    """The least number of images that is this share; .9 of 10 are 9, whatever .9 * 10 is rounded to."""
    return int(np.ceil(round(share * of, 9)))


def decided_at(table: pd.DataFrame, scores: ArrayLike, threshold: float) -> pd.DataFrame:
    """A predictions table of two classes in which images are decided by a threshold.

    Args:
        table: the predictions table.
        scores: [I] of its images, larger for the last class.
        threshold: from where it is the last class.
    """
    return table.assign(prediction=(np.asarray(scores) >= threshold).astype(np.int64))
