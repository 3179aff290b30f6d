"""The table of predictions, with the same columns for diffusion classifiers and baselines.

Columns: ``image_id, group, label, prediction, p_0 .. p_{K-1}, uncertainty_<kind>..., steps_used,
steps``, the last being the number of steps of the full run (1 of a baseline). The file has one more,
``format_version``, which is the same in all rows.
Classes are indices into the dataset's class list. Of classes that are exactly equal a baseline's prediction
is the first, and that of a diffusion classifier the one that `meddiff.diffusion.vote` says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from meddiff.csv_text import read_rows
from meddiff.diffusion import vote
from meddiff.diffusion.step_order import in_order, spread_order
from meddiff.errors import DataError
from meddiff.format_version import KEY, as_of_today
from meddiff.io import atomic_path
from meddiff.readout.rules import RULES

if TYPE_CHECKING:
    import xarray as xr

FORMAT_VERSION = 2
UNCERTAINTY = "uncertainty_"
_TEXT = ["image_id", "group"]
_STEPS = ["steps_used", "steps"]
_WHOLE = ["label", "prediction", *_STEPS]
_HEADER_ROWS = 2  # a text editor's first line is 1, and that is the header
_SUM_TOLERANCE = 1e-4
_REPAIR = "make the file again from its errors or probabilities"


def from_errors(dataset: xr.Dataset, decision: str) -> pd.DataFrame:
    """Predictions of a diffusion classifier.

    Args:
        dataset: variables errors (image, step, class), label (image) and group (image); coordinate image.
        decision: a key of `meddiff.readout.rules.RULES`, such as ``majority`` (p = vote shares) or ``mean``
            (p = softmax of -mean error / 2). The three uncertainty columns are the same for all. Where an
            image stopped early, vote shares and t-score are those to be expected of all its steps, so that
            they are comparable between images.

    Raises:
        DataError: if an image has no complete step or an infinite error.
        ValueError: if there is no such decision.
    """
    if decision not in RULES:
        raise ValueError(f"decision must be one of {', '.join(RULES)}, got {decision!r}")
    errors = error_array(dataset)
    readout = RULES[decision](errors, dataset["logsnr"].transpose("image", "step").values)
    tally, total = vote.tally(errors), errors.shape[1]
    return _table(
        dataset["image"].values.astype(str),
        dataset["group"].values.astype(str),
        dataset["label"].values,
        readout.prediction,
        readout.probabilities,
        {
            "vote_entropy": tally.vote_entropy(total),
            "t_score": vote.t_score(errors),
            "softmax_entropy": tally.softmax_entropy(),
        },
        tally.steps,
        total,
    )


def from_probabilities(
    image_ids: Sequence[str], groups: Sequence[str], labels: np.ndarray, probabilities: np.ndarray
) -> pd.DataFrame:
    """Predictions of a discriminative baseline, which uses one step per image.

    Args:
        image_ids, groups: I strings each.
        labels: int [I].
        probabilities: softmax outputs [I, K]; rows sum to 1.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    return _table(
        np.asarray(image_ids, dtype=str),
        np.asarray(groups, dtype=str),
        labels,
        probabilities.argmax(axis=1),
        probabilities,
        {"softmax_entropy": vote.entropy(probabilities)},
        np.ones(len(probabilities), dtype=np.int64),
        1,
    )


def write_predictions(table: pd.DataFrame, path: str | Path) -> None:
    """Write `table` as CSV at full precision, atomically."""
    with atomic_path(path) as temporary:
        table.assign(**{KEY: FORMAT_VERSION}).to_csv(temporary, index=False, lineterminator="\n")


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read and check a table of predictions; the version of its format is left out.

    Raises:
        DataError: naming file and row (header = row 1) for missing columns, images that repeat, classes
            out of range, probabilities that are no distribution, and values that are not finite; or if a
            newer meddiff made the file.
    """
    header, rows = read_rows(path, ours=True, repair=_REPAIR)
    text = pd.DataFrame([row for _, row in rows], columns=header, dtype=str)
    found, text = _format_version(path, text), text.drop(columns=KEY, errors="ignore")
    raw = as_of_today(path, found, text, (_from_version_1,), DataError, _REPAIR)
    classes = sum(bool(re.fullmatch(r"p_\d+", column)) for column in raw.columns)
    shares = [f"p_{k}" for k in range(max(classes, 2))]
    kinds = [column for column in raw.columns if column.startswith(UNCERTAINTY)]
    missing = [c for c in [*_TEXT, *_WHOLE, *shares] if c not in raw.columns]
    if missing or not kinds:
        missing += [] if kinds else [f"{UNCERTAINTY}<kind>"]
        raise DataError(f"{path}: columns {missing} are missing; there are {header}; {_REPAIR}")
    if raw.empty:
        raise DataError(f"{path}: the table has no rows; expected one an image; {_REPAIR}")
    table = raw.copy()
    for column in [*_WHOLE, *shares, *kinds]:
        numbers = pd.to_numeric(raw[column], errors="coerce").astype(np.float64)
        _check_rows(path, raw, column, ~np.isfinite(numbers), "a finite number")
        table[column] = numbers
    for column in _WHOLE:
        limit = np.inf if column in _STEPS else classes
        bad = (table[column] % 1 != 0) | (table[column] < (column in _STEPS)) | (table[column] >= limit)
        _check_rows(
            path, raw, column, bad, "a whole number" if limit == np.inf else f"a class 0..{classes - 1}"
        )
        table[column] = table[column].astype(np.int64)
    _check_rows(
        path,
        raw,
        "steps_used",
        table["steps_used"] > table["steps"],
        "at most `steps`, those of the full run",
    )
    _check_rows(
        path, raw, "image_id", table["image_id"].duplicated() | (table["image_id"] == ""), "an id used once"
    )
    _check_rows(path, raw, "group", table["group"] == "", "a group id (the image id where there is none)")
    for column in shares:
        _check_rows(
            path, raw, column, (table[column] < 0) | (table[column] > 1 + _SUM_TOLERANCE), "within [0, 1]"
        )
    off = (table[shares].sum(axis=1) - 1).abs() > _SUM_TOLERANCE
    _check_rows(path, raw, shares[0], off, f"{shares[0]}..{shares[-1]} that sum to 1")
    return table


def _format_version(path: str | Path, raw: pd.DataFrame) -> int | str | None:
    """What the rows say, which is a number where the file is whole; None where they say nothing."""
    if KEY not in raw or raw.empty:
        return None
    first = raw[KEY].iloc[0]
    _check_rows(path, raw, KEY, raw[KEY] != first, f"{first!r} as in the first row")
    return int(first) if first.isdecimal() else first


def _from_version_1(raw: pd.DataFrame) -> pd.DataFrame:
    """It differs only in that it does not say its version."""
    return raw


def probabilities(table: pd.DataFrame) -> np.ndarray:
    """[I, K] class probabilities of a predictions table, float64."""
    classes = sum(bool(re.fullmatch(r"p_\d+", column)) for column in table.columns)
    return table[[f"p_{k}" for k in range(classes)]].to_numpy(dtype=np.float64)


def uncertainties(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Kind -> [I] uncertainty, larger = less certain, in the order of the columns."""
    columns = [column for column in table.columns if column.startswith(UNCERTAINTY)]
    return {column.removeprefix(UNCERTAINTY): table[column].to_numpy(dtype=np.float64) for column in columns}


def is_correct(table: pd.DataFrame) -> np.ndarray:
    """[I] bool: prediction equals label."""
    return (table["prediction"] == table["label"]).to_numpy()


def error_array(dataset: xr.Dataset) -> np.ndarray:
    """Errors [image, step, class] of an errors dataset, checked.

    Raises:
        DataError: if an image has no complete step or an infinite error.
    """
    errors = dataset["errors"].transpose("image", "step", "class").values
    ids = dataset["image"].values.astype(str)
    infinite = np.isinf(errors).any(axis=(1, 2))
    if infinite.any():
        raise DataError(
            f"errors of image {ids[infinite.argmax()]!r} are infinite ({infinite.sum()} images in all); "
            "score with precision fp32 or bf16"
        )
    empty = ~np.isfinite(errors).all(axis=2).any(axis=1)
    if empty.any():
        raise DataError(
            f"image {ids[empty.argmax()]!r} has no step with all classes evaluated ({empty.sum()} images "
            "in all); the scoring run is not complete: delete the errors file and score again"
        )
    return errors


def errors_in_order(dataset: xr.Dataset) -> np.ndarray:
    """`error_array` with the steps of each image in the order in which they were evaluated."""
    errors = error_array(dataset)
    if json.loads(dataset.attrs.get("stopping", "{}")).get("order") != "spread":
        return errors
    logsnr = dataset["logsnr"].transpose("image", "step").values
    return in_order(
        errors, spread_order(logsnr, int(dataset.attrs["seed"]), dataset["image"].values.tolist())
    )


def _table(
    ids: np.ndarray,
    groups: np.ndarray,
    labels: np.ndarray,
    prediction: np.ndarray,
    shares: np.ndarray,
    kinds: dict[str, np.ndarray],
    steps: np.ndarray,
    total: int,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": ids,
            "group": groups,
            "label": np.asarray(labels, dtype=np.int64),
            "prediction": prediction,
            **{f"p_{k}": shares[:, k] for k in range(shares.shape[1])},
            **{UNCERTAINTY + kind: values for kind, values in kinds.items()},
            "steps_used": steps,
            "steps": total,
        }
    )


def _check_rows(path: str | Path, raw: pd.DataFrame, column: str, bad: pd.Series, expected: str) -> None:
    if bad.any():
        row = int(np.argmax(bad.to_numpy()))
        raise DataError(
            f"{path}: row {row + _HEADER_ROWS}: {column} is {raw[column].iloc[row]!r}, expected {expected} "
            f"({int(bad.sum())} such rows); {_REPAIR}"
        )
