"""Calibrations of predictions tables: fitted on one, and added to another as further columns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from meddiff.errors import ConfigError, DataError
from meddiff.readout.calibration import Calibration, fit
from meddiff.readout.predictions import CALIBRATED, IN_SET, SCORE, TRIAGE, class_names, scores
from meddiff.readout.triage import (
    Margins,
    decide_sets,
    decide_sure,
    labelled,
    least_margins,
    margins,
    sure_thresholds,
)


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
        fitted = fit(scores(validation), labels, class_names(validation), offsets=offsets)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    one = _one_of_each_group(validation)
    known = one["label"].to_numpy()
    return replace(fitted, margins=Margins(tuple(map(int, known)), labelled(scores(one), known)))


def _one_of_each_group(table: pd.DataFrame) -> pd.DataFrame:
    """One image of each group, chosen by what hashes of image ids say, which know nothing of the images."""
    hashes = [hashlib.sha256(name.encode()).hexdigest() for name in table["image_id"]]
    return table.iloc[np.argsort(hashes, kind="stable")].drop_duplicates("group")


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


def with_triage(
    table: pd.DataFrame,
    calibration: Calibration,
    promised: Mapping[str, float],
    prevalence: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """`table` with what `meddiff.readout.triage` decides, after its calibrated probabilities.

    Args:
        table: as of `with_calibrated`.
        promised: ``ppv`` and ``npv`` of two classes, ``coverage`` of more, and ``confidence``.
        prevalence: as of `with_calibrated`; of more classes, each has a promise of its own in any mix.
    """
    table, names, found = table.copy(), class_names(table), margins(scores(table))
    confidence = promised["confidence"]
    columns: dict[str, np.ndarray] = {}
    if len(names) == 2:
        of_last = None if prevalence is None else prevalence[names[1]]
        ppv, npv = promised["ppv"], promised["npv"]
        thresholds = sure_thresholds(calibration.margins, ppv, npv, confidence, of_last)
        p = table[CALIBRATED + names[1]].to_numpy()
        columns[TRIAGE] = decide_sure(found[:, 1], p, thresholds, names)
    else:
        least = least_margins(calibration.margins, len(names), promised["coverage"], confidence)
        sets = found >= least
        columns[TRIAGE] = decide_sets(sets, names)
        columns |= {IN_SET + name: sets[:, k].astype(np.int64) for k, name in enumerate(names)}
    place = table.columns.get_loc(CALIBRATED + names[-1]) + 1
    for at, (column, values) in enumerate(columns.items()):
        table.insert(place + at, column, values)
    return table
