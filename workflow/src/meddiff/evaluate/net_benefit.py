"""Net benefit of acting on a probability: decision curves of two classes (Vickers & Elkin 2006).

Who acts (treats, refers) from a probability t on accepts (1 - t) / t needless actions for one that is needed.
So an image that is rightly acted on counts 1, and one that is wrongly acted on -t / (1 - t); the net benefit
is their mean over all images. A classifier is of use at t where it has more than acting on all images and
than acting on none, which has 0. Probabilities should be calibrated.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meddiff.evaluate.over_seeds import by_seeds, counts, limits_over_seeds, replicates, same_images
from meddiff.evaluate.statistics import Resampling, mean_interval
from meddiff.runs import Run

ALL, NONE = "(all)", "(none)"  # no model has these names: brackets are not allowed in names
THRESHOLDS_PERCENT = np.arange(1, 100)
COLUMNS = ["dataset", "model", "decision", "threshold_percent", "net_benefit", "ci_low", "ci_high"]
COLUMNS += ["seeds", "votes", "images"]


def net_benefits(p: ArrayLike, positive: ArrayLike, thresholds: ArrayLike) -> NDArray[np.float64]:
    """[I, T] what each image adds to the net benefit at each threshold; the mean over images is it.

    Args:
        p: [I] probability of the positive class.
        positive: [I] bool.
        thresholds: [T] within (0, 1); images of this probability or a higher one are acted on.
    """
    t = np.asarray(thresholds, dtype=np.float64)
    acted = np.asarray(p, dtype=np.float64)[:, None] >= t
    return acted * np.where(np.asarray(positive, dtype=bool)[:, None], 1.0, -t / (1 - t))


def decision_curves(runs: Iterable[tuple[Run, pd.DataFrame]], resampling: Resampling) -> pd.DataFrame:
    """Net benefit of every model, of acting on all images and on none, at `THRESHOLDS_PERCENT`.

    Args:
        runs: each with a table of image_id, group, positive (bool) and p (probability of the positive class).
        resampling: how intervals are made, which are for other images and seeds.

    Returns:
        Columns `COLUMNS`, for each dataset its models as they come and then `ALL` and `NONE` (whose decision
        is empty). Net benefit is per image; seeds (trainings), votes (vote seeds of each; NaN where there are
        no votes).

    Raises:
        DataError: if the runs of a model differ in images.
    """
    ordered = [(run, table.sort_values("image_id", ignore_index=True)) for run, table in runs]
    rows, anyone = [], {}
    for (dataset, model, decision), (trainings, seeds) in by_seeds(
        ordered, "dataset", "model", "decision"
    ).items():
        what = f"decision curve of {model} on {dataset}"
        same_images(what, [seed["image_id"].to_numpy() for seed in seeds])
        anyone.setdefault(dataset, seeds[0])
        number, votes = counts(trainings)
        votes = np.nan if decision == "softmax" else votes
        curve = _curve([(seed["p"], seed) for seed in seeds], trainings, resampling)
        rows += [[dataset, model, decision, *row, number, votes, len(seeds[0])] for row in curve]
    for dataset, table in anyone.items():
        for name, p in ((ALL, np.ones(len(table))), (NONE, np.zeros(len(table)))):
            curve = _curve([(p, table)], [0], resampling)
            rows += [[dataset, name, "", *row, np.nan, np.nan, len(table)] for row in curve]
    return pd.DataFrame(rows, columns=COLUMNS)


def _curve(
    seeds: list[tuple[ArrayLike, pd.DataFrame]], trainings: list[int], resampling: Resampling
) -> Iterable[tuple[float, ...]]:
    """Threshold in percent, net benefit and its limits, of probabilities with the images they are of."""
    found = np.stack([net_benefits(p, table["positive"], THRESHOLDS_PERCENT / 100) for p, table in seeds])
    of_images = found.mean(axis=0)
    limits = mean_interval(of_images, seeds[0][1]["group"], resampling)
    points = replicates(found.mean(axis=1), trainings)
    low, high = limits_over_seeds(points, limits, resampling.confidence)
    t = THRESHOLDS_PERCENT / 100
    low, high = np.maximum(low, -t / (1 - t)), np.minimum(high, 1.0)
    return zip(THRESHOLDS_PERCENT.tolist(), of_images.mean(axis=0), low, high, strict=True)
