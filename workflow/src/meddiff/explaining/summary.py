"""From measures of images to the metrics of a run, for each direction between two classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from meddiff.errors import DataError
from meddiff.evaluate.proportion import share_interval
from meddiff.evaluate.statistics import Resampling, mean_interval
from meddiff.explaining.edits import COUNTERFACTUAL, CYCLE, FACTUAL
from meddiff.explaining.metrics import COLUMNS, MEANS, RUN, SET_METRICS
from meddiff.explaining.set_distances import Result, left_out, set_distances

# Those whose values are 0 or 1.
SHARES = ("validity", "validity_oracle", "control", "control_oracle")

_NO_ORACLE = "no oracle (counterfactuals.oracle)"
_NO_FEATURES = "no feature network (counterfactuals.oracle or counterfactuals.features)"
_UNKNOWN_LESION = "where the lesion is or would be is not known"
_ORACLE_WRONG = "the oracle decides none of the test images for its true class"
# Why a metric has no value: its column is not there, or has no number.
_ABSENT = {
    "validity_oracle": _NO_ORACLE,
    "control_oracle": _NO_ORACLE,
    "target_gain_oracle": _NO_ORACLE,
    "feature_distance": _NO_FEATURES,
}
_UNDEFINED = {
    "validity_oracle": _ORACLE_WRONG,
    "control_oracle": _ORACLE_WRONG,
    "ssim": "images are smaller than the window of SSIM",
    "change_inside_lesion": _UNKNOWN_LESION,
    "lesion_area": _UNKNOWN_LESION,
}


def summarise(
    measures: pd.DataFrame,
    features: Mapping[str, np.ndarray],
    tested: pd.DataFrame,
    resampling: Resampling,
) -> pd.DataFrame:
    """All metrics of a run, one row each for every direction.

    A direction's images are the main counterfactuals from its source to its target whose test image is
    decided for its true class, which is the source. The oracle's flips are of those that it decides rightly,
    too. What cannot be estimated has no value and a note that says why.

    Args:
        measures: as `meddiff.explaining.image_measures.measure_images` returns them.
        features: `generated` [M, D] of the main counterfactuals in the order of the measures, and `real`
            [I, D] of all test images; empty without a network.
        tested: `label` and `group` of all test images, in the order of `real`.

    Returns:
        Columns `COLUMNS` but for `RUN`; values are fractions of the range of pixels, of images or of the
        change.

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
        found = {name: _mean(ways[role], column, name, resampling) for name, (role, column) in MEANS.items()}
        positions = np.flatnonzero(generated.index.isin(used.index))
        if features:
            ours = features["generated"][positions], used["group"].to_numpy()
            found |= _of_sets(ours, features["real"], tested, (source, target), resampling)
        else:
            found |= {name: left_out(0, _NO_FEATURES) for name in SET_METRICS}
        for metric, values in found.items():
            rows.append([int(source), int(target), metric, *values])
    return pd.DataFrame(rows, columns=COLUMNS[len(RUN) :])


def _mean(part: pd.DataFrame, column: str, metric: str, resampling: Resampling) -> Result:
    """Value, limits, number of images and note of a mean."""
    if part.empty:
        return left_out(0, "no test image of the source class is decided for it")
    if column not in part:
        return left_out(0, _ABSENT.get(metric, "not measured"))
    defined = part[part[column].notna()]
    if defined.empty:
        return left_out(0, _UNDEFINED.get(metric, "not defined"))
    values = defined[column].to_numpy(dtype=np.float64)
    groups = defined["group"].to_numpy()
    if metric in SHARES:
        low, high = share_interval(values, groups, resampling.confidence)
    else:
        low, high = mean_interval(values, groups, resampling)
    return float(values.mean()), float(low), float(high), len(values), ""


def _of_sets(
    ours: tuple[np.ndarray, np.ndarray],
    real: np.ndarray,
    tested: pd.DataFrame,
    direction: tuple[int, int],
    resampling: Resampling,
) -> dict[str, Result]:
    """`set_distances` of one direction; `ours` are features and groups of its counterfactuals."""
    label, group = tested["label"].to_numpy(), tested["group"].to_numpy()
    sets, groups = {"generated": ours[0]}, {"generated": ours[1]}
    for name, k in zip(("source", "target"), direction, strict=True):
        sets[name], groups[name] = real[label == k], group[label == k]
    return set_distances(sets, groups, resampling)
