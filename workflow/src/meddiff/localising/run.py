"""From evidence maps to how well they find known lesions: the command ``localise``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from meddiff.evaluate.proportion import difference_interval, share_interval
from meddiff.evaluate.statistics import Limits, Resampling, mean_interval
from meddiff.localising.measures import MEASURES, Reading, choose_reading, measure
from meddiff.localising.regions import EVIDENCE, GRAD_CAM, PRIOR, Known, Split, best_baseline
from meddiff.runs import ScoringRun

RUN = ["dataset", "model", "seed", "votes"]
# `against` is empty for a value; for a difference on the same images, whose name ends like that, it is the
# other method.
GAIN = "_gain"
COLUMNS = [*RUN, "method", "against", "metric", "value", "ci_low", "ci_high", "n", "detail"]
METHODS = (EVIDENCE, GRAD_CAM, PRIOR)
_UNREAD = Reading(0.0, 2.0)


class LocaliseSettings(ScoringRun, Resampling):
    """What ``localise`` depends on beside its files."""

    phantom: str
    baselines: list[str]


@dataclass(frozen=True)
class LocaliseFiles:
    """What is read.

    Attributes:
        known: where the lesions are.
        evidence, evidence_valid: maps of the test and the validation split; without the latter nothing is
            chosen.
        grad_cam, grad_cam_valid: files of each baseline, in the order of the settings.
        scores_valid: their predictions of the validation split.
    """

    known: Known
    evidence: Path
    evidence_valid: Path | None
    grad_cam: Sequence[Path]
    grad_cam_valid: Sequence[Path]
    scores_valid: Sequence[Path]


def localise(settings: LocaliseSettings, files: LocaliseFiles) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How well evidence maps, Grad-CAM of the best baseline, and the usual places find the lesion.

    Compared are test images that show a lesion and are decided rightly by mean error; all methods on the same
    images. What is chosen (smoothing, threshold, the baseline and its layer) is chosen on validation images.

    Returns:
        Measures, one row an image and method; and their means with intervals, columns `COLUMNS`.

    Raises:
        DataError: if a file is wrong, or files are of different images.
    """
    chosen = best_baseline(files.scores_valid) if files.scores_valid else None
    test = files.known.split("test", files.evidence, None if chosen is None else files.grad_cam[chosen])
    valid = None
    if files.evidence_valid is not None:
        grad_cam = None if chosen is None else files.grad_cam_valid[chosen]
        valid = files.known.split("valid", files.evidence_valid, grad_cam)
    parts = []
    for method in METHODS:
        if (name := _map_of(method, test, valid)) is None:
            continue
        reading = _UNREAD if valid is None else choose_reading(valid.maps[name], valid.masks)
        baseline = f"{settings.baselines[chosen]} {name.partition('/')[2]}, " if "/" in name else ""
        detail = f"{baseline}sigma {reading.sigma:g}, threshold {reading.threshold:.2f}"
        found = measure(test.maps[name], test.masks, reading)
        parts.append(_rows(test, found).assign(method=method, detail=detail))
    measures = pd.concat(parts, ignore_index=True)
    identity = settings.model_dump(include={*RUN})
    metrics = pd.DataFrame(_summary(measures[measures["right"]], settings), columns=COLUMNS[len(RUN) :])
    return measures, metrics.assign(**identity)[COLUMNS].astype({"votes": "Int64"})


def _map_of(method: str, test: Split, valid: Split | None) -> str | None:
    """The map of a method; of Grad-CAM that of the layer with the best average precision in validation.

    Without a validation split it is that of the last layer, as in the paper of Grad-CAM.
    """
    names = [name for name in test.maps if name.partition("/")[0] == method]
    if len(names) < 2 or valid is None:
        return names[-1] if names else None
    precision = {
        name: measure(valid.maps[name], valid.masks, _UNREAD)["average_precision"].mean() for name in names
    }
    return max(names, key=precision.__getitem__)


def _rows(split: Split, found: dict[str, np.ndarray]) -> pd.DataFrame:
    known = {"image_id": split.image_ids, "group": split.groups, "label": split.labels, "right": split.right}
    return pd.DataFrame({**known, "area": split.masks.mean(axis=(1, 2)), **found})


def _summary(measures: pd.DataFrame, resampling: Resampling) -> list[list[object]]:
    rows: list[list[object]] = []
    of_method = dict(iter(measures.groupby("method", sort=False)))
    for method, part in of_method.items():
        detail = part["detail"].iloc[0]
        for metric in MEASURES:
            values = part[metric].to_numpy()
            limits = _limits(metric, values, part["group"].to_numpy(), resampling)
            rows.append([method, "", metric, values.mean(), *map(float, limits), len(part), detail])
    if EVIDENCE not in of_method:
        return rows
    ours = of_method[EVIDENCE]
    for other, part in of_method.items():
        for metric in MEASURES if other != EVIDENCE else ():
            change = ours[metric].to_numpy() - part[metric].to_numpy()
            groups = ours["group"].to_numpy()
            low, high = (
                difference_interval(change, groups, resampling.confidence)
                if metric == "pointing"
                else mean_interval(change, groups, resampling)
            )
            rows.append(
                [EVIDENCE, other, metric + GAIN, change.mean(), float(low), float(high), len(part), ""]
            )
    return rows


def _limits(metric: str, values: np.ndarray, groups: np.ndarray, resampling: Resampling) -> Limits:
    """Limits of a mean; of hits those of a share."""
    if metric == "pointing":
        return share_interval(values, groups, resampling.confidence)
    return mean_interval(values, groups, resampling)
