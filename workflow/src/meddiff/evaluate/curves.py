"""Accuracy along a curve: after the first n steps, and without the most uncertain images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from meddiff.diffusion import vote
from meddiff.errors import ConfigError
from meddiff.evaluate.metrics.ranking import Ranking
from meddiff.evaluate.over_seeds import (
    by_seeds,
    counts,
    limits_over_seeds,
    one_value,
    replicates,
    same_images,
)
from meddiff.evaluate.proportion import Sample, bounded_interval, share_interval
from meddiff.evaluate.statistics import Resampling, bootstrap
from meddiff.readout.from_errors import errors_in_order
from meddiff.readout.predictions import UNCERTAINTY, is_correct
from meddiff.runs import Run, ScoringRun

if TYPE_CHECKING:
    import xarray as xr

OURS = "ours"  # beside it, figures may have what is published
REMOVED_PERCENT = np.arange(0, 91)
STEP_COLUMNS = ["dataset", "model", "decision", "source", "steps", "accuracy_percent"]
STEP_COLUMNS += ["ci_low_percent", "ci_high_percent", "seeds", "votes", "images"]
REMOVAL_COLUMNS = ["dataset", "model", "decision", "uncertainty", "source", "removed_percent"]
REMOVAL_COLUMNS += ["accuracy_percent", "ci_low_percent", "ci_high_percent", "images_left", "seeds", "votes"]


def step_ablation(
    runs: Iterable[tuple[ScoringRun, xr.Dataset]], numbers: Sequence[int], confidence: float
) -> pd.DataFrame:
    """Accuracy after the first n steps, mean over runs, with its interval for other images and seeds.

    Args:
        runs: each with its errors.
        numbers: n; used as far as it is below the number of steps N, and N itself is added.
        confidence: of the intervals.

    Returns:
        Columns `STEP_COLUMNS`: dataset, model, decision, source (``ours``), steps, accuracy_percent,
        ci_low_percent, ci_high_percent, seeds (trainings), votes (vote seeds of each), images.

    Raises:
        DataError: if the runs of a model differ in images or steps, or an errors file is not complete.
    """
    found = by_seeds(((run, errors.sortby("image")) for run, errors in runs), "dataset", "model")
    rows = []
    for (dataset, model), (trainings, seeds) in found.items():
        what = f"step ablation of {model} on {dataset}"
        same_images(what, [seed["image"].values for seed in seeds])
        total = one_value({seed.sizes["step"] for seed in seeds}, f"{what}: the seeds differ in steps")
        steps = [*sorted({n for n in numbers if n < total}), total]
        correct: dict[str, list[np.ndarray]] = {"majority": [], "mean": []}
        for seed in seeds:
            every, chosen = vote.prefix(errors_in_order(seed)), np.asarray(steps) - 1
            tally = vote.Tally(every.steps[:, chosen], every.counts[:, chosen], every.mean[:, chosen])
            label = seed["label"].values[:, None]
            correct["majority"].append(tally.majority() == label)
            correct["mean"].append(tally.lowest_mean() == label)
        for decision, values in correct.items():
            share = np.mean(values, axis=0)  # [images, steps], averaged over seeds
            groups = seeds[0]["group"].values.astype(str)
            low, high = limits_over_seeds(
                replicates(np.mean(values, axis=1), trainings),
                share_interval(share, groups, confidence),
                confidence,
            )
            low, high = low.clip(0, 1), high.clip(0, 1)
            for i, n in enumerate(steps):
                accuracy = (100 * share[:, i].mean(), 100 * low[i], 100 * high[i])
                rows.append([dataset, model, decision, OURS, n, *accuracy, *counts(trainings), len(share)])
    return pd.DataFrame(rows, columns=STEP_COLUMNS)


def removal_curves(
    runs: Iterable[tuple[Run, pd.DataFrame]], uncertainty: Mapping[str, str], resampling: Resampling
) -> pd.DataFrame:
    """Accuracy of what remains after the most uncertain share is removed, mean over runs.

    Where images are equally uncertain it is the expectation over a random order of them. Intervals are for
    other images and seeds. Every run is drawn with the same resamples, in which the images are ranked and
    removed anew.

    Args:
        runs: each with its predictions.
        uncertainty: decision -> kind of uncertainty to rank by.
        resampling: how intervals are made.

    Returns:
        Columns `REMOVAL_COLUMNS`: dataset, model, decision, uncertainty, source (``ours``), removed_percent
        (0, 1, .., 90), accuracy_percent, ci_low_percent, ci_high_percent, images_left, seeds (trainings),
        votes (vote seeds of each; NaN where there are no votes).

    Raises:
        ConfigError: if a table has no column of the wanted uncertainty.
        DataError: if the runs of a model differ in images.
    """
    ordered = []
    for run, table in runs:
        kind = uncertainty[run.decision]
        if UNCERTAINTY + kind not in table.columns:
            raise ConfigError(
                f"uncertainty.{run.decision}: predictions of {run.model} on {run.dataset} have no "
                f"{UNCERTAINTY + kind}; they have {[c for c in table.columns if c.startswith(UNCERTAINTY)]}"
            )
        ordered.append((run, table.sort_values("image_id")))
    rows = []
    found = by_seeds(ordered, "dataset", "model", "decision")
    for (dataset, model, decision), (trainings, seeds) in found.items():
        same_images(f"uncertainty of {model} on {dataset}", [seed["image_id"].to_numpy() for seed in seeds])
        kind = uncertainty[decision]
        ranked = [Ranking(seed[UNCERTAINTY + kind], is_correct(seed)) for seed in seeds]
        left = np.maximum(np.rint(len(seeds[0]) * (100 - REMOVED_PERCENT) / 100).astype(int), 1)
        once = np.ones((1, len(seeds[0])), dtype=np.int64)
        curves = np.concatenate([seed.share_of_rest(once, REMOVED_PERCENT) for seed in ranked])
        accuracy = curves.mean(axis=0)
        values = replicates(curves, trainings)
        low, high = _removal_interval(ranked, values, left, seeds[0]["group"].to_numpy(), resampling)
        columns = (REMOVED_PERCENT, 100 * accuracy, 100 * low, 100 * high, left)
        identity = [dataset, model, decision, kind, OURS]
        number, votes = counts(trainings)
        votes = np.nan if decision == "softmax" else votes
        rows += [[*identity, *row, number, votes] for row in zip(*columns, strict=True)]
    return pd.DataFrame(rows, columns=REMOVAL_COLUMNS)


def _removal_interval(
    ranked: list[Ranking],
    points: np.ndarray,
    left: np.ndarray,
    groups: np.ndarray,
    resampling: Resampling,
) -> tuple[np.ndarray, np.ndarray]:
    """Limits [R] of the mean of `points` [S, R], of the `left` [R] images at `REMOVED_PERCENT`.

    Args:
        ranked: the images of each run by uncertainty, those decided rightly being marked.
        points: what varies with the seeds (`replicates`).
    """

    def average(weights: np.ndarray) -> dict[str, np.ndarray]:
        curves = [seed.share_of_rest(weights, REMOVED_PERCENT) for seed in ranked]
        return {"accuracy": np.mean(curves, axis=0)}

    draws = bootstrap(average, groups, resampling)
    sample = Sample.of(groups)
    variance = sample.bootstrap_variance(draws["accuracy"])
    accuracy = points.mean(axis=0)
    rare = np.minimum(accuracy, 1 - accuracy) * left / len(groups)
    limits = bounded_interval(accuracy, variance, left, sample, resampling.confidence, rare=rare)
    low, high = limits_over_seeds(points, limits, resampling.confidence)
    return low.clip(0, 1), high.clip(0, 1)
