"""Two classifiers on all folds of a dataset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meddiff.evaluate.metrics.images import Images
from meddiff.evaluate.paired import AurocTest, auroc_test, share_as_large, swapped_differences
from meddiff.evaluate.statistics import Resampling

Pair = tuple[Images, Images]


def mean_auroc_test(pairs: Sequence[Pair], resampling: Resampling, same_images: bool = False) -> AurocTest:
    """Compare the means over folds of two classifiers' AUROCs.

    Scores of the models of two folds are on no common scale, so images are ranked in each fold alone. The
    interval is that of a mean of independent samples, whose variances on each side are added; the test swaps
    ranks in all folds, and p is the share of swaps whose mean difference is as large as the one found. Both
    are for other test images and the same trainings.

    Args:
        pairs: of each fold the same images of both classifiers, in the same order.
        resampling: see `meddiff.evaluate.paired.auroc_test`.
        same_images: whether all folds have the same images: their limits are then averaged, and all ranks of
            a group are swapped together.

    Returns:
        `auroc_test` of one pair; NaN throughout where a class has no image in a fold.
    """
    of_folds = [auroc_test(first, second, resampling) for first, second in pairs]
    if len(pairs) == 1 or any(np.isnan(one.first) for one in of_folds):
        return of_folds[0] if len(pairs) == 1 else AurocTest(*[float("nan")] * 5)
    first, second, low, high = np.transpose([(o.first, o.second, o.low, o.high) for o in of_folds])
    change = first - second
    if same_images:
        limits = low.mean(), high.mean()
    else:
        below, above = (np.sqrt(np.square(side).sum()) / len(pairs) for side in (change - low, high - change))
        limits = change.mean() - below, change.mean() + above
    swapped = [
        swapped_differences(*pair, resampling, 0 if same_images else number)
        for number, pair in enumerate(pairs)
    ]
    p_value = share_as_large(np.mean(swapped, axis=0))
    return AurocTest(float(first.mean()), float(second.mean()), *map(float, limits), p_value)
