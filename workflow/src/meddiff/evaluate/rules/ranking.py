"""What every decision rule makes of the same stored errors: what ``meddiff rules`` prints.

Rules are those of `meddiff.readout`; the first, to which others are compared, is the paper's majority of all
steps. Where the errors are of all steps, stopping rules are replayed: errors that they would not have
evaluated are left out, and the decision is made of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.diffusion.vote import entropy
from meddiff.errors import DataError
from meddiff.evaluate.metrics.images import CalibrationError
from meddiff.evaluate.metrics.ranking import Ranking
from meddiff.evaluate.proportion import difference_interval
from meddiff.readout.candidates import CANDIDATES
from meddiff.readout.fitted import FITTED
from meddiff.readout.from_errors import error_array
from meddiff.readout.rules import RULES, Rule
from meddiff.readout.scores import Readout

if TYPE_CHECKING:
    import xarray as xr

EXACT = "majority, exact"
STOPPING = {
    EXACT: StoppingConfig(kind="exact"),
    "majority, delta 0.01": StoppingConfig(kind="sequential", delta=0.01),
    "majority, delta 0.1": StoppingConfig(kind="sequential", delta=0.1),
    "mean, delta 0.01": StoppingConfig(kind="sequential", delta=0.01, decision="mean"),
}
COLUMNS = ["rule", "passes", "saved", "agreement", "accuracy", "difference", "ci_low", "ci_high"]
COLUMNS += ["balanced_accuracy", "aurc", "ece", "nll"]


def rule_ranking(
    errors: xr.Dataset, fitted: Mapping[str, Rule] | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """One row a rule, in the order of the registries, and then one a stopping rule.

    Args:
        errors: an errors dataset.
        fitted: further rules, of `fitted_rules`.
        confidence: of the interval.

    Returns:
        Columns `COLUMNS`. `passes` are network inputs an image, and `saved` the share of those of all steps
        that are not needed. `agreement` is with the first row. `difference` is in accuracy to the first row,
        paired, with its interval (`meddiff.evaluate.proportion.difference_interval`, by groups). AURC ranks
        images by the entropy of the rule's probabilities, and NLL is that of the softmax of its scores.

    Raises:
        DataError: if there is no image, or one has no complete step or an infinite error.
    """
    if not errors.sizes["image"]:
        raise DataError("there are no images")
    found, label = error_array(errors), errors["label"].values
    logsnr = errors["logsnr"].transpose("image", "step").values
    groups = errors["group"].values.astype(str)
    rules = {**RULES, **CANDIDATES, **(fitted or {})}
    rows, paper = [], None
    for name, used, readout in _readouts(found, logsnr, rules):
        paper = readout if paper is None else paper
        correct, as_paper = readout.prediction == label, readout.prediction == paper.prediction
        change = correct.astype(np.float64) - (paper.prediction == label)
        passes = np.isfinite(used).sum(axis=(1, 2)).mean()
        row = [name, passes, 1 - passes / found[0].size, as_paper.mean(), correct.mean()]
        # These cannot differ; what happens not to differ could.
        certain = readout is paper or name == EXACT
        limits = (0.0, 0.0) if certain else difference_interval(change, groups, confidence)
        row += [change.mean(), *map(float, limits)]
        rows.append([*row, *_measures(readout, label)])
    return pd.DataFrame(rows, columns=COLUMNS)


def fitted_rules(validation: xr.Dataset, errors: xr.Dataset) -> dict[str, Rule]:
    """The rules of `meddiff.readout.fitted`, for `rule_ranking` of `errors`.

    Args:
        validation: errors of the validation split by the same model.
        errors: those that the rules are for.

    Raises:
        DataError: if `validation` is not of all steps, of other weights or classes, or lacks a class.
    """
    for of, here, there in (
        ("classes", *(dataset["class"].values.tolist() for dataset in (validation, errors))),
        ("weights", *(dataset.attrs.get("weights_sha256") for dataset in (validation, errors))),
    ):
        if here != there:
            raise DataError(f"these are errors of the {of} {here}, and those to be judged of {there}")
    found, label = error_array(validation), validation["label"].values
    if np.isnan(found).any():
        raise DataError(
            "these errors are not of all steps, which rules that are fitted need; score with `stopping: "
            "{kind: none}`, or leave --validation out"
        )
    names = validation["class"].values.tolist()
    if absent := [name for k, name in enumerate(names) if not (label == k).any()]:
        raise DataError(
            f"there is no image of class {absent[0]!r}, which rules that are fitted need; leave "
            "--validation out"
        )
    logsnr = validation["logsnr"].transpose("image", "step").values
    return {name: fit(found, logsnr, label) for name, fit in FITTED.items()}


def _readouts(
    errors: np.ndarray, logsnr: np.ndarray, rules: Mapping[str, Rule]
) -> Iterator[tuple[str, np.ndarray, Readout]]:
    """What each row is called, the errors that it uses, and what it makes of them."""
    for name, rule in rules.items():
        yield name, errors, rule(errors, logsnr)
    if np.isnan(errors).any():
        return
    for name, config in STOPPING.items():
        stopping = make_rule(config, *errors.shape[1:])
        used = cut(errors, stopping_steps(errors, stopping))
        yield name, used, RULES[config.decision](used, logsnr)


def _measures(readout: Readout, label: np.ndarray) -> list[float]:
    """Balanced accuracy, AURC, ECE and NLL; the first is NaN where a class has no image."""
    correct, images = readout.prediction == label, np.arange(len(label))
    classes = range(readout.scores.shape[1])
    recall = [correct[label == k].mean() if (label == k).any() else np.nan for k in classes]
    confidence = readout.probabilities[images, readout.prediction]
    losses = -log_softmax(readout.scores, axis=1)[images, label]
    once = np.ones((1, len(label)), dtype=np.int64)  # weights that give the value of the images
    return [
        float(np.mean(recall)),
        float(Ranking(entropy(readout.probabilities), ~correct).mean_risk(once)[0]),
        float(CalibrationError(confidence, correct)(once)[0]),
        float(losses.mean()),
    ]
