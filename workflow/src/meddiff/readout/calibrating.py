"""Calibrations of predictions tables: fitted on one, and added to another as further columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from meddiff.errors import ConfigError, DataError
from meddiff.readout.calibration import Calibration, fit
from meddiff.readout.predictions import CALIBRATED, SCORE, class_names, scores


def calibrate(validation: pd.DataFrame, path: str | Path, *, offsets: bool) -> Calibration:
    """The calibration of a model whose predictions of the validation split are `validation`.

    Args:
        path: their file, for messages.
        offsets: whether classes have offsets beside the slope (`meddiff.readout.calibration`).

    Raises:
        DataError: if a class has no image.
    """
    labels = validation["label"].to_numpy()
    try:
        return fit(scores(validation), labels, class_names(validation), offsets=offsets)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def with_calibrated(
    table: pd.DataFrame,
    calibration: Calibration,
    path: str | Path,
    prevalence: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """`table` with a column ``calibrated_<class>`` after the scores of the classes.

    Args:
        path: the calibration's file, for messages.
        prevalence: class -> how frequent it is where the probabilities are used; as in the validation split
            if not given.

    Raises:
        DataError: if it is of other classes.
        ConfigError: if `prevalence` is.
    """
    names = class_names(table)
    if list(calibration.class_names) != names:
        raise DataError(
            f"{path}: is of the classes {list(calibration.class_names)}, and the predictions have {names}; "
            "fit it again on predictions of the same dataset"
        )
    if prevalence is not None and {*prevalence} != {*names}:
        raise ConfigError(
            f"prevalence: is of the classes {list(prevalence)}, and the predictions have {names}"
        )
    shares = None if prevalence is None else [prevalence[name] for name in names]
    table, p = table.copy(), calibration(scores(table), shares)
    place = table.columns.get_loc(SCORE + names[-1]) + 1
    for k, name in enumerate(names):
        table.insert(place + k, CALIBRATED + name, p[:, k])
    return table
