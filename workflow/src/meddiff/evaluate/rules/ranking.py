"""What every decision rule makes of the same stored errors: what ``meddiff rules`` prints.

Rules are those of `meddiff.readout`; the first, to which others are compared, is the paper's majority of all
steps. Where the errors are of all steps, stopping rules are replayed: errors that they would not have
evaluated are left out, and the decision is made of the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from meddiff.diffusion.vote import entropy
from meddiff.errors import DataError
from meddiff.evaluate.metrics.images import CalibrationError
from meddiff.evaluate.metrics.ranking import Ranking
from meddiff.evaluate.proportion import difference_interval
from meddiff.evaluate.rules.learned import EXACT, Learned, readouts
from meddiff.readout.from_errors import error_array
from meddiff.readout.scores import Readout

if TYPE_CHECKING:
    import xarray as xr

MEASURES = ["accuracy", "difference", "ci_low", "ci_high", "balanced_accuracy", "aurc", "ece", "nll"]
CALIBRATED = "calibrated_"


def rule_ranking(
    errors: xr.Dataset, learned: Learned | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """One row a rule, in the order of the registries, and then one a stopping rule.

    Args:
        errors: an errors dataset.
        learned: what was fitted on the validation split.
        confidence: of intervals.

    Returns:
        Columns rule, passes (network inputs an image), saved (share of those of all steps), agreement (with
        the first row) and `MEASURES`; with `learned`, these also of the calibrated probabilities, by which
        the most probable class is decided for. `difference` is in accuracy to the first row, paired, and its
        interval that of `meddiff.evaluate.proportion.difference_interval`. AURC ranks images by the entropy
        of the probabilities; NLL is that of the softmax of the scores.

    Raises:
        DataError: if there is no image, or one has no complete step or an infinite error.
    """
    if not errors.sizes["image"]:
        raise DataError("there are no images")
    found, label = error_array(errors), errors["label"].values
    logsnr = errors["logsnr"].transpose("image", "step").values
    groups = errors["group"].values.astype(str)
    rows, paper = [], None
    for name, used, readout in readouts(found, logsnr, learned.rules if learned else {}):
        paper = readout.prediction if paper is None else paper
        passes = np.isfinite(used).sum(axis=(1, 2)).mean()
        row = {"rule": name, "passes": passes, "saved": 1 - passes / found[0].size}
        row["agreement"] = (readout.prediction == paper).mean()
        row |= _measures(readout, label)
        row |= _difference(readout.prediction, paper, label, groups, confidence)
        if not rows or name == EXACT:  # cannot differ; what happens not to differ could
            row |= {"ci_low": 0.0, "ci_high": 0.0}
        if learned:
            p = learned.calibrations[name](readout.scores)
            calibrated = Readout(np.log(np.maximum(p, np.finfo(p.dtype).tiny)), p, p.argmax(axis=1))
            further = _measures(calibrated, label)
            further |= _difference(calibrated.prediction, paper, label, groups, confidence)
            row |= {CALIBRATED + measure: value for measure, value in further.items()}
        rows.append(row)
    columns = ["rule", "passes", "saved", "agreement", *MEASURES]
    return pd.DataFrame(rows)[columns + ([CALIBRATED + name for name in MEASURES] if learned else [])]


def _measures(readout: Readout, label: np.ndarray) -> dict[str, float]:
    """Measure -> value; balanced accuracy is NaN where a class has no image."""
    correct, images = readout.prediction == label, np.arange(len(label))
    classes = range(readout.scores.shape[1])
    recall = [correct[label == k].mean() if (label == k).any() else np.nan for k in classes]
    confidence = readout.probabilities[images, readout.prediction]
    once = np.ones((1, len(label)), dtype=np.int64)  # weights that give the value of the images
    return {
        "accuracy": correct.mean(),
        "balanced_accuracy": np.mean(recall),
        "aurc": Ranking(entropy(readout.probabilities), ~correct).mean_risk(once)[0],
        "ece": CalibrationError(confidence, correct)(once)[0],
        "nll": -log_softmax(readout.scores, axis=1)[images, label].mean(),
    }


def _difference(
    prediction: np.ndarray, paper: np.ndarray, label: np.ndarray, groups: np.ndarray, confidence: float
) -> dict[str, float]:
    """In accuracy, of `prediction` to `paper`, with its interval."""
    change = (prediction == label).astype(np.float64) - (paper == label)
    low, high = map(float, difference_interval(change, groups, confidence))
    return {"difference": change.mean(), "ci_low": low, "ci_high": high}
