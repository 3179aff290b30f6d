"""Reliability: how frequent events are that have a probability, before calibration and after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from meddiff.evaluate.metrics.images import Events, Images
from meddiff.evaluate.metrics.ranking import Floats
from meddiff.evaluate.over_seeds import by_seeds, counts, same_images
from meddiff.evaluate.statistics import Resampling, bootstrap, percentile_interval
from meddiff.runs import Run

RAW, CALIBRATED = "raw", "calibrated"
OBSERVED = "observed"
COLUMNS = ["dataset", "model", "decision", "probabilities", "quantity", "probability", "value"]
COLUMNS += ["ci_low", "ci_high", "images", "seeds", "votes"]
PROBABILITIES = np.linspace(0, 1, 41)
_BANDWIDTH = 0.08
_FEWEST = 3  # images within this width of a point of the curve, mean over seeds


def reliability_curves(runs: Iterable[tuple[Run, pd.DataFrame]], resampling: Resampling) -> pd.DataFrame:
    """Frequency of events by their probability (`Images.events`), over the images of all seeds.

    At a probability q it is q plus the mean of event minus probability over the images nearby, which weigh as
    a Gaussian with a standard deviation of .08 says: a curve of right probabilities is the diagonal, wherever
    images lie. Intervals are pointwise, of other images, from a bootstrap over groups.

    Args:
        runs: each with its predictions.
        resampling: how intervals are made.

    Returns:
        Columns `COLUMNS`; quantity is `OBSERVED`, and images the number (mean over seeds) of those whose
        probability is nearest to this one. Where fewer than 3 are near there is no value.

    Raises:
        DataError: if the runs of a model differ in images.
    """
    ordered = ((run, table.sort_values("image_id", ignore_index=True)) for run, table in runs)
    parts = []
    for (dataset, model, decision), (trainings, tables) in by_seeds(
        ordered, "dataset", "model", "decision"
    ).items():
        same_images(f"reliability of {model} on {dataset}", [t["image_id"].to_numpy() for t in tables])
        images = [Images(table, decision == "majority") for table in tables]
        kinds = {RAW: images}
        if all(one.calibrated is not None for one in images):
            kinds[CALIBRATED] = [one.calibrated for one in images]
        number, votes = counts(trainings)
        for kind, of_seeds in kinds.items():
            curve = _curve([one.events for one in of_seeds], images[0].groups, resampling)
            identity = {"dataset": dataset, "model": model, "decision": decision, "probabilities": kind}
            seeds = {"seeds": number, "votes": np.nan if decision == "softmax" else votes}
            parts.append(curve.assign(quantity=OBSERVED, **identity, **seeds))
    return pd.concat(parts)[COLUMNS]


def _curve(seeds: Sequence[Events], groups: np.ndarray, resampling: Resampling) -> pd.DataFrame:
    """Columns probability, value, ci_low, ci_high, images."""
    near = [_weights_nearby(events.probability) for events in seeds]
    mass = np.sum(near, axis=0)
    gaps = np.sum(
        [part * (e.happened - e.probability)[:, None] for part, e in zip(near, seeds, strict=True)], axis=0
    )

    def observed(weights: np.ndarray) -> dict[str, Floats]:
        total = weights @ mass
        gap = np.divide(weights @ gaps, total, out=np.full(total.shape, np.nan), where=total > 0)
        return {OBSERVED: np.clip(PROBABILITIES + gap, 0, 1)}

    value = observed(np.ones((1, len(groups))))[OBSERVED][0]
    low, high = percentile_interval(bootstrap(observed, groups, resampling)[OBSERVED], resampling.confidence)
    nearest = np.concatenate([np.rint(e.probability * (len(PROBABILITIES) - 1)) for e in seeds])
    images = np.bincount(nearest.astype(int), minlength=len(PROBABILITIES)) / len(seeds)
    table = pd.DataFrame({"probability": PROBABILITIES, "value": value, "ci_low": low, "ci_high": high})
    within = np.sum([part >= np.exp(-0.5) for part in near], axis=(0, 1)) / len(seeds)
    table.loc[within < _FEWEST, ["value", "ci_low", "ci_high"]] = np.nan
    return table.assign(images=images)


def _weights_nearby(probability: Floats) -> Floats:
    """[I, G] what an image counts at each of `PROBABILITIES`, 1 at its own."""
    return np.exp(-(((probability[:, None] - PROBABILITIES) / _BANDWIDTH) ** 2) / 2)
