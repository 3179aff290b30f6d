"""What fewer classification steps cost, replayed from stored errors (`meddiff.evaluate.replay`).

Procedures look at the same errors: the first n steps of every image, or each image's steps up to where a
stopping rule stops it. Steps are taken in their order, or in the spread one, so a replay gives what scoring
with that procedure would have given. Where there are errors of the validation split, steps are also weighted
by noise level (`meddiff.diffusion.level_weights`); where the test split was scored with other noise levels
too, these are shown beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from meddiff.diffusion.level_weights import LevelWeights, fit_level_weights
from meddiff.diffusion.step_order import spread_order
from meddiff.errors import DataError
from meddiff.evaluate.metrics.images import CalibrationError
from meddiff.evaluate.metrics.ranking import Ranking
from meddiff.evaluate.over_seeds import by_seeds, counts, one_value, replicates, same_images
from meddiff.evaluate.replay import (
    EXACT,
    FIRST,
    METRICS,
    REFERENCE,
    SEQUENTIAL,
    SPREAD,
    WEIGHTED,
    Outcome,
    Procedure,
    Replayed,
    replay,
)
from meddiff.evaluate.statistics import Resampling, bootstrap
from meddiff.readout.from_errors import error_array
from meddiff.runs import ScoringRun

if TYPE_CHECKING:
    import xarray as xr

COLUMNS = ["dataset", "model", "decision", "levels", "rule", "setting"]
COLUMNS += ["metric", "value", "ci_low", "ci_high"]
COLUMNS += ["difference", "difference_ci_low", "difference_ci_high"]
COLUMNS += ["steps", "steps_ci_low", "steps_ci_high", "passes", "seeds", "votes", "images"]
NUMBERS = COLUMNS[COLUMNS.index("value") :]


@dataclass(frozen=True)
class RunErrors:
    """The errors files of one run.

    Attributes:
        test: of the test split.
        validation: of the validation split, to fit weights of noise levels; None for no weights.
        variants: kind of noise levels -> errors of the test split with these.
    """

    test: xr.Dataset
    validation: xr.Dataset | None = None
    variants: Mapping[str, xr.Dataset] = field(default_factory=dict)


def procedures(run: RunErrors, numbers: Sequence[int], deltas: Sequence[float]) -> list[Procedure]:
    """All procedures for the errors of `run`, in the order shown; arguments as of `efficiency`."""
    own = own_levels(run.test)
    found = []

    def first_of(decision: str, levels: str, errors: xr.Dataset) -> list[Procedure]:
        steps = errors.sizes["step"]
        chosen = [*sorted({n for n in numbers if n < steps}), steps]
        return [Procedure(decision, FIRST, n, levels) for n in chosen]

    for decision in REFERENCE:
        if decision in WEIGHTED:
            if run.validation is not None:
                found += first_of(decision, own, run.test)
            continue
        for levels, errors in {own: run.test, **run.variants}.items():
            found += first_of(decision, levels, errors)
        found += [Procedure(decision, EXACT, np.nan, own)] * (decision == "majority")
        for rule in (SEQUENTIAL, SPREAD):
            found += [Procedure(decision, rule, delta, own) for delta in sorted(deltas)]
    return found


def own_levels(errors: xr.Dataset) -> str:
    """The kind of noise levels that `errors` were made with."""
    return str(errors.attrs.get("noise_levels", "uniform"))


def efficiency(
    runs: Iterable[tuple[ScoringRun, RunErrors]],
    numbers: Sequence[int],
    deltas: Sequence[float],
    resampling: Resampling,
) -> pd.DataFrame:
    """Steps used against accuracy, agreement with the full run, AURC and calibration, mean over runs.

    All procedures and runs are drawn with the same resamples, and differences are paired. Intervals are for
    other images and seeds; what cannot differ from the full run (exact stopping) has none of its difference.

    Args:
        runs: each with its errors.
        numbers: of steps, the same for all images; used as far as they are below that of the full run.
        deltas: of the sequential rules.
        resampling: how intervals are made.

    Returns:
        Columns `COLUMNS`, models as they come. `setting` is the number of steps, or delta; `value` is a
        fraction; ``agreement`` and `difference` are with the full run, by majority for votes and by mean
        error for errors; `passes` are network inputs an image (steps times classes).

    Raises:
        DataError: if the seeds of a model differ in images or steps, or errors are not of all steps.
    """
    rows = []
    for (dataset, model), (trainings, seeds) in by_seeds(runs, "dataset", "model").items():
        what = f"efficiency of {model} on {dataset}"
        wanted = procedures(seeds[0], numbers, deltas)
        rows += [[dataset, model, *row] for row in _rows(what, seeds, trainings, wanted, resampling)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(
    what: str,
    seeds: list[RunErrors],
    trainings: list[int],
    wanted: list[Procedure],
    resampling: Resampling,
) -> Iterable[list]:
    tested = [errors for seed in seeds for errors in (seed.test, *seed.variants.values())]
    same_images(what, [np.sort(errors["image"].values) for errors in tested])
    one_value({seed.test.sizes["step"] for seed in seeds}, f"{what}: the seeds differ in steps")
    statistics = [_Statistics(what, seed, wanted) for seed in seeds]
    first = seeds[0].test.sortby("image")
    groups = first["group"].values.astype(str)
    ones = np.ones((1, len(groups)))
    # [seeds, procedures, 1 + metrics]
    points = replicates(np.stack([statistic(ones)[0] for statistic in statistics]), trainings)

    def average(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"values": np.mean([statistic(weights) for statistic in statistics], axis=0)}

    draws = bootstrap(average, groups, resampling)["values"]
    full = _full_runs(wanted, own_levels(first))
    references = [full[REFERENCE[procedure.decision]] for procedure in wanted]
    certain = [i == reference or wanted[i].rule == EXACT for i, reference in enumerate(references)]
    shares = np.mean([statistic.shares for statistic in statistics], axis=0)
    replayed = Replayed(points, draws, shares, groups, references, np.array(certain))
    limits, further = (
        replayed.limits(resampling.confidence),
        replayed.difference_limits(resampling.confidence),
    )
    mean = points.mean(axis=0)
    for i, procedure in enumerate(wanted):
        used = [mean[i, 0], limits[0][i, 0], limits[1][i, 0], mean[i, 0] * first.sizes["class"]]
        for j, metric in enumerate(METRICS, start=1):
            value = [mean[i, j], limits[0][i, j], limits[1][i, j]]
            difference = [mean[i, j] - mean[references[i], j], further[0][i, j], further[1][i, j]]
            identity = [procedure.decision, procedure.levels, procedure.rule, procedure.setting, metric]
            yield [*identity, *value, *difference, *used, *counts(trainings), len(groups)]


def _full_runs(wanted: list[Procedure], own: str) -> dict[str, int]:
    """Decision -> index of its run of all steps: the last one with the same number for all images."""
    return {p.decision: i for i, p in enumerate(wanted) if p.rule == FIRST and p.levels == own}


class _Statistics:
    """Mean steps and `METRICS` of all procedures on one seed's errors, as a function of image weights.

    Attributes:
        shares: [2, I, procedures] whether an image is decided rightly, and whether as by all steps.
    """

    def __init__(self, what: str, seed: RunErrors, wanted: list[Procedure]) -> None:
        test = seed.test.sortby("image")
        label = test["label"].values
        weights = _weights(what, seed.validation) if seed.validation is not None else None
        outcomes: dict[int, Outcome] = {}
        for levels, errors in {**seed.variants, own_levels(test): test}.items():
            here = [i for i, procedure in enumerate(wanted) if procedure.levels == levels]
            errors = errors.sortby("image")
            logsnr = errors["logsnr"].transpose("image", "step").values
            spread = None
            if any(wanted[i].rule == SPREAD for i in here):
                ids = errors["image"].values.tolist()
                spread = spread_order(logsnr, int(errors.attrs.get("seed", 0)), ids)
            replayed = replay(_complete(what, errors), [wanted[i] for i in here], logsnr, weights, spread)
            outcomes |= dict(zip(here, replayed, strict=True))
        full = _full_runs(wanted, own_levels(test))
        self._parts, shares = [], []
        for i, procedure in enumerate(wanted):
            outcome, reference = outcomes[i], outcomes[full[REFERENCE[procedure.decision]]]
            correct = outcome.prediction == label
            agrees = outcome.prediction == reference.prediction
            means = np.stack([outcome.steps, correct, agrees], axis=1).astype(np.float64)
            shares.append(means[:, 1:])
            ranked = Ranking(outcome.uncertainty, ~correct)
            self._parts.append((means, ranked, CalibrationError(outcome.confidence, correct)))
        self.shares = np.stack(shares, axis=-1).transpose(1, 0, 2)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """[B, procedures, 1 + metrics] for weights [B, I]."""
        real = np.asarray(weights, dtype=np.float64)
        total = real.sum(axis=1, keepdims=True)
        rows = [
            np.column_stack([real @ means / total, ranked.mean_risk(weights), calibration(real)])
            for means, ranked, calibration in self._parts
        ]
        return np.stack(rows, axis=1)


def _weights(what: str, validation: xr.Dataset) -> LevelWeights:
    logsnr = validation["logsnr"].transpose("image", "step").values
    return fit_level_weights(_complete(what, validation), logsnr, validation["label"].values)


def _complete(what: str, dataset: xr.Dataset) -> np.ndarray:
    errors = error_array(dataset)
    if np.isnan(errors).any():
        raise DataError(
            f"{what}: its errors are not of all steps (score.stopping was "
            f"{dataset.attrs.get('stopping', 'not recorded')}); score with `stopping: {{kind: none}}`"
        )
    return errors
