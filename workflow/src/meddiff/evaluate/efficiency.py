"""What fewer classification steps cost: procedures that stop early, replayed from the errors of all steps.

Every procedure looks at the same stored errors: the first n steps of every image, or each image's steps up
to where a stopping rule stops it (`meddiff.diffusion.stopping`). Steps are taken in their order, so a replay
gives what scoring with that procedure would have given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from meddiff.config.experiment import StoppingConfig
from meddiff.diffusion import vote
from meddiff.diffusion.stopping import make_rule, stopping_steps
from meddiff.errors import DataError
from meddiff.evaluate.figure_data import one_value, same_images
from meddiff.evaluate.layout import in_layout_order
from meddiff.evaluate.predictions import error_array
from meddiff.evaluate.resampled import CalibrationError, RiskCoverage
from meddiff.evaluate.settings import EfficiencySettings, ScoringRun
from meddiff.evaluate.statistics import bootstrap, percentile_interval

FIRST, EXACT, SEQUENTIAL = "first", "exact", "sequential"
DECISIONS = ("majority", "mean")
METRICS = ("accuracy", "agreement", "aurc", "ece")
COLUMNS = ["dataset", "model", "decision", "rule", "setting", "metric", "value", "ci_low", "ci_high"]
COLUMNS += ["difference", "difference_ci_low", "difference_ci_high"]
COLUMNS += ["steps", "steps_ci_low", "steps_ci_high", "passes", "seeds", "images"]
_BLOCK_ELEMENTS = 1 << 21  # of [image, step, class], to bound memory


@dataclass(frozen=True)
class Procedure:
    """How steps become a decision.

    Attributes:
        decision: ``majority`` or ``mean``.
        rule: ``first`` (the same number of steps for every image), ``exact`` or ``sequential``.
        setting: number of steps, NaN, or delta.
    """

    decision: str
    rule: str
    setting: float


@dataclass(frozen=True)
class Outcome:
    """What a procedure does with I images.

    Attributes:
        steps: [I] steps used.
        prediction: [I] class index.
        confidence: [I] probability of that class.
        uncertainty: [I] larger = less certain: entropy of vote shares, or of the softmax for ``mean``.
    """

    steps: np.ndarray
    prediction: np.ndarray
    confidence: np.ndarray
    uncertainty: np.ndarray


def procedures(steps: int, settings: EfficiencySettings) -> list[Procedure]:
    """All procedures for runs of `steps` steps, in the order shown; the full run is the last ``first``."""
    numbers = [*sorted({n for n in settings.steps if n < steps}), steps]
    found = []
    for decision in DECISIONS:
        found += [Procedure(decision, FIRST, n) for n in numbers]
        found += [Procedure(decision, EXACT, np.nan)] * (decision == "majority")
        found += [Procedure(decision, SEQUENTIAL, delta) for delta in sorted(settings.deltas)]
    return found


def replay(errors: np.ndarray, wanted: list[Procedure]) -> list[Outcome]:
    """What each procedure does.

    Args:
        errors: [I, N, K], complete.
        wanted: the procedures.
    """
    block = max(1, _BLOCK_ELEMENTS // (errors.shape[1] * errors.shape[2]))
    parts = []
    for start in range(0, len(errors), block):
        part = errors[start : start + block]
        running = vote.prefix(part)
        parts.append([_outcome(part, running, procedure) for procedure in wanted])
    names = ("steps", "prediction", "confidence", "uncertainty")
    return [
        Outcome(*(np.concatenate([getattr(outcome, name) for outcome in outcomes]) for name in names))
        for outcomes in zip(*parts, strict=True)
    ]


def efficiency(runs: Iterable[tuple[ScoringRun, xr.Dataset]], settings: EfficiencySettings) -> pd.DataFrame:
    """Steps used against accuracy, agreement with the full run, AURC and calibration, mean over seeds.

    All procedures and seeds are drawn with the same resamples: differences are paired, and intervals are
    those of the mean over seeds.

    Returns:
        Columns `COLUMNS`. `setting` is the number of steps, or delta; `value` is a fraction, of
        ``agreement`` with the decision of the full run by the same `decision`; `difference` is to the full
        run; `passes` are network inputs an image (steps times classes).

    Raises:
        DataError: if the seeds of a model differ in images or steps, or errors are not of all steps.
    """
    found = defaultdict(list)
    for run, errors in runs:
        found[run.dataset, run.model].append(errors.sortby("image"))
    rows = []
    for (dataset, model), seeds in found.items():
        what = f"efficiency of {model} on {dataset}"
        same_images(what, [seed["image"].values for seed in seeds])
        total = one_value({seed.sizes["step"] for seed in seeds}, f"{what}: the seeds differ in steps")
        wanted = procedures(total, settings)
        rows += [[dataset, model, *row] for row in _rows(what, seeds, wanted, settings)]
    return in_layout_order(pd.DataFrame(rows, columns=COLUMNS), settings)


def _rows(
    what: str, seeds: list[xr.Dataset], wanted: list[Procedure], settings: EfficiencySettings
) -> Iterable[list]:
    statistics = [_Statistics(_complete(what, seed), seed["label"].values, wanted) for seed in seeds]
    groups = seeds[0]["group"].values.astype(str)

    def average(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"values": np.mean([statistic(weights) for statistic in statistics], axis=0)}

    point = average(np.ones((1, len(groups))))["values"][0]  # [procedures, 1 + metrics]
    draws = bootstrap(average, groups, settings.bootstrap_samples, settings.bootstrap_seed)["values"]
    full = {p.decision: i for i, p in enumerate(wanted) if p.rule == FIRST}  # the last one: all steps
    for i, procedure in enumerate(wanted):
        reference = full[procedure.decision]
        low, high = percentile_interval(draws[:, i], settings.confidence)
        further = percentile_interval(draws[:, i] - draws[:, reference], settings.confidence)
        used = [point[i, 0], low[0], high[0], point[i, 0] * seeds[0].sizes["class"]]
        for j, metric in enumerate(METRICS, start=1):
            value = [point[i, j], low[j], high[j]]
            difference = [point[i, j] - point[reference, j], further[0][j], further[1][j]]
            identity = [procedure.decision, procedure.rule, procedure.setting, metric]
            yield [*identity, *value, *difference, *used, len(seeds), len(groups)]


class _Statistics:
    """Mean steps and `METRICS` of all procedures on one errors file, as a function of image weights."""

    def __init__(self, errors: np.ndarray, label: np.ndarray, wanted: list[Procedure]) -> None:
        outcomes = replay(errors, wanted)
        full = {p.decision: o for p, o in zip(wanted, outcomes, strict=True) if p.rule == FIRST}
        self._parts = []
        for procedure, outcome in zip(wanted, outcomes, strict=True):
            correct = outcome.prediction == label
            agrees = outcome.prediction == full[procedure.decision].prediction
            means = np.stack([outcome.steps, correct, agrees], axis=1).astype(np.float64)
            ranked = RiskCoverage(outcome.uncertainty, correct)
            self._parts.append((means, ranked, CalibrationError(outcome.confidence, correct)))

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """[B, procedures, 1 + metrics] for weights [B, I]."""
        weights = np.asarray(weights, dtype=np.float64)
        total = weights.sum(axis=1, keepdims=True)
        rows = [
            np.column_stack([weights @ means / total, ranked(weights), calibration(weights)])
            for means, ranked, calibration in self._parts
        ]
        return np.stack(rows, axis=1)


def _outcome(errors: np.ndarray, running: vote.Tally, procedure: Procedure) -> Outcome:
    images, total, classes = errors.shape
    if procedure.rule == FIRST:
        total = int(procedure.setting)  # a run of that many steps, not one that stopped
        used = np.full(images, total)
    else:
        delta = None if procedure.rule == EXACT else procedure.setting
        config = StoppingConfig(kind=procedure.rule, decision=procedure.decision, delta=delta)
        used = stopping_steps(errors, make_rule(config, total, classes))
    last = np.arange(images), used - 1
    tally = vote.Tally(used, running.counts[last], running.mean[last])
    if procedure.decision == "majority":
        prediction, p = tally.majority(), tally.vote_shares(total)
    else:
        prediction, p = tally.lowest_mean(), tally.softmax()
    confidence = np.take_along_axis(p, prediction[:, None], axis=1)[:, 0]
    return Outcome(used, prediction, confidence, vote.entropy(p))


def _complete(what: str, dataset: xr.Dataset) -> np.ndarray:
    errors = error_array(dataset)
    if np.isnan(errors).any():
        raise DataError(
            f"{what}: its errors are not of all steps (score.stopping was "
            f"{dataset.attrs.get('stopping', 'not recorded')}); score with `stopping: {{kind: none}}`"
        )
    return errors
