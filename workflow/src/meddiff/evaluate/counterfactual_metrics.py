"""The metrics of one run's counterfactuals, for each direction between two classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from meddiff.errors import DataError
from meddiff.evaluate import similarity
from meddiff.evaluate.counterfactual_settings import MeasureSettings
from meddiff.evaluate.result_csv import read_csv
from meddiff.evaluate.settings import ScoringRun
from meddiff.evaluate.statistics import bootstrap_weights, mean_interval, percentile_interval
from meddiff.explaining.edits import COUNTERFACTUAL, CYCLE, FACTUAL

RUN = ["dataset", "model", "seed"]
COLUMNS = [*RUN, "source", "target", "metric", "value", "ci_low", "ci_high", "n", "note"]

# Metric -> (role, column of the measures); a metric is the mean over images.
MEANS: dict[str, tuple[str, str]] = {
    "validity": (COUNTERFACTUAL, "valid"),
    "validity_oracle": (COUNTERFACTUAL, "valid_oracle"),
    "target_gain": (COUNTERFACTUAL, "gain"),
    "target_gain_oracle": (COUNTERFACTUAL, "gain_oracle"),
    "l1": (COUNTERFACTUAL, "l1"),
    "l2": (COUNTERFACTUAL, "l2"),
    "ssim": (COUNTERFACTUAL, "ssim"),
    "changed_share": (COUNTERFACTUAL, "changed_share"),
    "feature_distance": (COUNTERFACTUAL, "feature_distance"),
    "class_l1": (COUNTERFACTUAL, "class_l1"),
    "composition_l1": (FACTUAL, "l1"),
    "reversibility_l1": (CYCLE, "l1"),
    "change_inside_lesion": (COUNTERFACTUAL, "inside_lesion"),
    "lesion_area": (COUNTERFACTUAL, "lesion_area"),
}
KID, FID = "kid", "fid"
METRICS = [*MEANS, KID, FID]

# Below this a set says next to nothing about its distribution: the spread of KID is of its own size.
FEWEST_IMAGES = 10

_NO_ORACLE = "no oracle (counterfactuals.oracle)"
_REASONS = {
    "validity_oracle": _NO_ORACLE,
    "target_gain_oracle": _NO_ORACLE,
    "feature_distance": "no feature network (counterfactuals.oracle or counterfactuals.features)",
    "ssim": "images are smaller than the window of SSIM",
    "change_inside_lesion": "where the lesion is or would be is not known",
    "lesion_area": "where the lesion is or would be is not known",
}


def summarise(
    measures: pd.DataFrame,
    features: Mapping[str, np.ndarray],
    tested: pd.DataFrame,
    settings: MeasureSettings,
) -> pd.DataFrame:
    """All metrics of a run, one row each for every direction.

    A direction's images are the main counterfactuals from its source to its target whose test image is
    decided for its true class, which is the source. What cannot be estimated has no value and a note that
    says why.

    Args:
        measures: as `meddiff.evaluate.counterfactual_measures.measure` returns them.
        features: `generated` [M, D] of the main counterfactuals in the order of the measures, and `real`
            [I, D] of all test images; empty without a network.
        tested: `label` and `group` of all test images, in the order of `real`.

    Returns:
        Columns `COLUMNS`; values are fractions of the range of pixels, of images or of the change.

    Raises:
        DataError: if features and measures are not of the same run.
    """
    main = measures[measures["main"] == 1]
    generated = main[main["role"] == COUNTERFACTUAL]
    if features and len(features["generated"]) != len(generated):
        raise DataError(
            f"features of {len(features['generated'])} counterfactuals for {len(generated)} in the table; "
            "run `explain` again"
        )
    if features and len(features["real"]) != len(tested):
        raise DataError(
            f"features of {len(features['real'])} test images, but there are {len(tested)}; run `explain` "
            "again"
        )
    rows = []
    for (source, target), part in generated.groupby(["source", "target"]):
        used = part[part["qualified"] == 1]
        ids = set(used["image_id"])
        ways = {COUNTERFACTUAL: used}
        for role, goal in ((FACTUAL, source), (CYCLE, target)):
            same = (main["role"] == role) & (main["source"] == source) & (main["target"] == goal)
            ways[role] = main[same & main["image_id"].isin(ids)]
        found = {name: _mean(ways[role], column, name, settings) for name, (role, column) in MEANS.items()}
        positions = np.flatnonzero(generated.index.isin(used.index))
        real = np.flatnonzero(tested["label"] == target)
        groups = used["group"].to_numpy(), tested["group"].to_numpy()[real]
        found |= _of_sets(features, (positions, real), groups, settings)
        for metric, values in found.items():
            identity = [settings.dataset, settings.model, settings.seed, int(source), int(target)]
            rows.append([*identity, metric, *values])
    return pd.DataFrame(rows, columns=COLUMNS)


def read_metrics(path: Path, run: ScoringRun) -> pd.DataFrame:
    """Read a metrics file and check that it belongs to `run`.

    Raises:
        DataError: if it cannot be read, lacks columns, or is of another run.
    """
    table = read_csv(path, COLUMNS, "run `measure` again")
    if table.empty:
        raise DataError(f"{path}: has no rows; run `measure` again")
    for key in RUN:
        found, expected = sorted(set(table[key])), getattr(run, key)
        if found != [expected]:
            raise DataError(
                f"{path}: {key} is {found}, expected {expected!r}; files go in the order of the runs"
            )
    return table


def _left_out(n: int, note: str) -> tuple[float, float, float, int, str]:
    return float("nan"), float("nan"), float("nan"), n, note


def _mean(
    part: pd.DataFrame, column: str, metric: str, settings: MeasureSettings
) -> tuple[float, float, float, int, str]:
    """Value, limits, number of images and note of a mean."""
    if part.empty:
        return _left_out(0, "no test image of the source class is decided for it")
    defined = part[part[column].notna()] if column in part else part.iloc[:0]
    if defined.empty:
        return _left_out(0, _REASONS.get(metric, "not defined"))
    values = defined[column].to_numpy(dtype=np.float64)
    low, high = mean_interval(
        values,
        defined["group"].to_numpy(),
        settings.bootstrap_samples,
        settings.confidence,
        settings.bootstrap_seed,
    )
    return float(values.mean()), float(low), float(high), len(values), ""


def _of_sets(
    features: Mapping[str, np.ndarray],
    rows: tuple[np.ndarray, np.ndarray],
    groups: tuple[np.ndarray, np.ndarray],
    settings: MeasureSettings,
) -> dict[str, tuple[float, float, float, int, str]]:
    """KID and FID of counterfactuals against the real test images of their target class."""
    if not features:
        return {name: _left_out(0, _REASONS["feature_distance"]) for name in (KID, FID)}
    generated, real = features["generated"][rows[0]], features["real"][rows[1]]
    fewest, dimensions = min(len(generated), len(real)), real.shape[1]
    if fewest < FEWEST_IMAGES:
        sizes = f"{len(generated)} counterfactuals and {len(real)} real images"
        note = f"too few images: {sizes}, {FEWEST_IMAGES} of each are needed"
        return {name: _left_out(len(generated), note) for name in (KID, FID)}
    kernel = similarity.KernelDistance(generated, real)
    value = float(kernel(np.ones((1, len(generated))), np.ones((1, len(real))))[0])
    draws = [
        np.concatenate(list(bootstrap_weights(of, settings.bootstrap_samples, settings.bootstrap_seed + i)))
        for i, of in enumerate(groups)
    ]
    low, high = percentile_interval(kernel(*draws), settings.confidence)
    found = {KID: (value, float(low), float(high), len(generated), "")}
    if fewest > dimensions:
        distance = similarity.frechet_distance(generated, real)
        found[FID] = (distance, float("nan"), float("nan"), len(generated), "")
    else:
        note = f"too few images: {fewest} for {dimensions} feature dimensions"
        found[FID] = _left_out(len(generated), note)
    return found
