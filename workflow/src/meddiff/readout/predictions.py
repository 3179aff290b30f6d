"""The table of predictions, with the same columns for diffusion classifiers and baselines.

Columns: ``image_id, group, label, prediction, p_<class>..., score_<class>..., calibrated_<class>...,
uncertainty_<kind>..., ood_<kind>..., steps_used, steps``, with one column a class of each of the first three
kinds:

- ``p_``: probabilities as the decision rule or the network has them.
- ``score_``: what they are made from, on a logarithmic scale and without a loss of digits where probabilities
  round to 0 or 1: a rule's scores (`meddiff.readout.rules`), or a baseline's logits.
- ``calibrated_``: probabilities after a calibration fitted on the validation split; where there is one.

``triage``: the class for which an image is surely decided, or ``refer``, and of more than two classes
``in_set_<class>``, 1 for those that it may be of (`meddiff.readout.triage`); where there is a calibration.
``ood_``: how unlike the training data the image is (`meddiff.readout.ood`), where validation images say what
is usual.

``label`` and ``prediction`` are class indices: the position of a class among these columns. ``steps`` is the
number of steps of the full run (1 of a baseline). The file has one more column, ``format_version``, which is
the same in all rows. Of classes that are exactly equal a baseline's prediction is the first, and that of a
diffusion classifier the one that `meddiff.diffusion.vote` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from meddiff.csv_text import read_rows
from meddiff.errors import DataError
from meddiff.format_version import KEY, as_of_today
from meddiff.io import atomic_path
from meddiff.readout.scores import Readout
from meddiff.readout.triage import REFER

FORMAT_VERSION = 3
PROBABILITY, SCORE, CALIBRATED, UNCERTAINTY = "p_", "score_", "calibrated_", "uncertainty_"
OOD, TRIAGE, IN_SET = "ood_", "triage", "in_set_"
_TEXT = ["image_id", "group"]
_STEPS = ["steps_used", "steps"]
_WHOLE = ["label", "prediction", *_STEPS]
_HEADER_ROWS = 2  # a text editor's first line is 1, and that is the header
_SUM_TOLERANCE = 1e-4
_REPAIR = "make the file again from its errors or probabilities"


def table_of(
    ids: np.ndarray,
    groups: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    readout: Readout,
    kinds: dict[str, np.ndarray],
    steps: np.ndarray,
    total: int,
) -> pd.DataFrame:
    """A table of predictions.

    Args:
        ids, groups: [I] text.
        labels: [I] class indices.
        names: K classes.
        readout: of the I images.
        kinds: kind -> [I] uncertainty.
        steps: [I] steps used.
        total: steps of the full run.
    """
    return pd.DataFrame(
        {
            "image_id": ids,
            "group": groups,
            "label": np.asarray(labels, dtype=np.int64),
            "prediction": readout.prediction,
            **{PROBABILITY + name: readout.probabilities[:, k] for k, name in enumerate(names)},
            **{SCORE + name: readout.scores[:, k] for k, name in enumerate(names)},
            **{UNCERTAINTY + kind: values for kind, values in kinds.items()},
            "steps_used": steps,
            "steps": total,
        }
    )


def write_predictions(table: pd.DataFrame, path: str | Path) -> None:
    """Write `table` as CSV at full precision, atomically."""
    with atomic_path(path) as temporary:
        table.assign(**{KEY: FORMAT_VERSION}).to_csv(temporary, index=False, lineterminator="\n")


def logarithms(probabilities: np.ndarray) -> np.ndarray:
    """Their logarithms, with the smallest positive number in place of 0."""
    return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))


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
    upgrades = (_from_version_1, _from_version_2)
    raw = as_of_today(path, found, text, upgrades, DataError, _REPAIR)
    shares = _columns(path, raw, header)
    table, classes = raw.copy(), len(shares)
    numbers = [c for c in raw.columns if c.startswith((PROBABILITY, SCORE, CALIBRATED, UNCERTAINTY, OOD))]
    for column in [*_WHOLE, *numbers]:
        values = pd.to_numeric(raw[column], errors="coerce").astype(np.float64)
        _check_rows(path, raw, column, ~np.isfinite(values), "a finite number")
        table[column] = values
    for column in _of_kind(raw, IN_SET):
        bad = ~raw[column].isin(["0", "1"])
        _check_rows(path, raw, column, bad, "0 or 1")
        table[column] = raw[column].astype(np.int64)
    if TRIAGE in raw:
        answers = [*class_names(raw), REFER]
        _check_rows(path, raw, TRIAGE, ~raw[TRIAGE].isin(answers), f"one of {answers}")
    for column in _WHOLE:
        limit = np.inf if column in _STEPS else classes
        bad = (table[column] % 1 != 0) | (table[column] < (column in _STEPS)) | (table[column] >= limit)
        expected = "a whole number" if limit == np.inf else f"a class 0..{classes - 1}"
        _check_rows(path, raw, column, bad, expected)
        table[column] = table[column].astype(np.int64)
    beyond = table["steps_used"] > table["steps"]
    _check_rows(path, raw, "steps_used", beyond, "at most `steps`, those of the full run")
    again = table["image_id"].duplicated() | (table["image_id"] == "")
    _check_rows(path, raw, "image_id", again, "an id used once")
    _check_rows(path, raw, "group", table["group"] == "", "a group id (the image id where there is none)")
    for columns in (shares, _of_kind(raw, CALIBRATED)):
        if columns:
            _check_distributions(path, raw, table, columns)
    return table


def _columns(path: str | Path, raw: pd.DataFrame, header: Sequence[str]) -> list[str]:
    """The columns of probabilities, when all columns are there that must be."""
    shares, kinds = _of_kind(raw, PROBABILITY), _of_kind(raw, UNCERTAINTY)
    missing = [column for column in [*_TEXT, *_WHOLE] if column not in raw.columns]
    missing += [] if len(shares) > 1 else [f"{PROBABILITY}<class> of two or more classes"]
    missing += [] if kinds else [f"{UNCERTAINTY}<kind>"]
    # Of calibrated ones there may be none, but not some.
    for kind in (SCORE, *([CALIBRATED] if _of_kind(raw, CALIBRATED) else [])):
        expected = [kind + share.removeprefix(PROBABILITY) for share in shares]
        missing += [column for column in expected if column not in raw.columns]
    if missing:
        raise DataError(f"{path}: columns {missing} are missing; there are {list(header)}; {_REPAIR}")
    if raw.empty:
        raise DataError(f"{path}: the table has no rows; expected one an image; {_REPAIR}")
    return shares


def _check_distributions(
    path: str | Path, raw: pd.DataFrame, table: pd.DataFrame, columns: list[str]
) -> None:
    for column in columns:
        outside = (table[column] < 0) | (table[column] > 1 + _SUM_TOLERANCE)
        _check_rows(path, raw, column, outside, "within [0, 1]")
    off = (table[columns].sum(axis=1) - 1).abs() > _SUM_TOLERANCE
    _check_rows(path, raw, columns[0], off, f"{columns[0]}..{columns[-1]} that sum to 1")


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


def _from_version_2(raw: pd.DataFrame) -> pd.DataFrame:
    """It has no scores, and its classes are numbered ``p_0``, ``p_1`` ...: the logarithms of these take part.

    What is no number is left to the reader, which says so. A table without rows does not say its version, and
    may be of a later one.
    """
    if _of_kind(raw, SCORE):
        return raw
    raw = raw.copy()
    for at, column in enumerate(shares := _of_kind(raw, PROBABILITY)):
        p = pd.to_numeric(raw[column], errors="coerce").to_numpy(dtype=np.float64)
        scores = [repr(float(score)) for score in logarithms(p)]
        place = raw.columns.get_loc(shares[-1]) + 1 + at
        raw.insert(place, SCORE + column.removeprefix(PROBABILITY), scores)
    return raw


def _of_kind(table: pd.DataFrame, kind: str) -> list[str]:
    """The columns whose names begin with `kind`."""
    return [column for column in table.columns if column.startswith(kind)]


def class_names(table: pd.DataFrame) -> list[str]:
    """The K classes of a predictions table, in the order of their index."""
    return [column.removeprefix(PROBABILITY) for column in _of_kind(table, PROBABILITY)]


def probabilities(table: pd.DataFrame) -> np.ndarray:
    """[I, K] class probabilities of a predictions table as they are before calibration, float64."""
    return table[_of_kind(table, PROBABILITY)].to_numpy(dtype=np.float64)


def scores(table: pd.DataFrame) -> np.ndarray:
    """[I, K] scores of a predictions table, float64."""
    return table[_of_kind(table, SCORE)].to_numpy(dtype=np.float64)


def calibrated(table: pd.DataFrame) -> np.ndarray | None:
    """[I, K] calibrated probabilities of a predictions table, float64; None where there are none."""
    columns = _of_kind(table, CALIBRATED)
    return table[columns].to_numpy(dtype=np.float64) if columns else None


def class_sets(table: pd.DataFrame) -> np.ndarray | None:
    """[I, K] bool: the classes that each image may be of; None where there are no sets."""
    columns = _of_kind(table, IN_SET)
    return table[columns].to_numpy() == 1 if columns else None


def uncertainties(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Kind -> [I] uncertainty, larger = less certain, in the order of the columns."""
    return {
        column.removeprefix(UNCERTAINTY): table[column].to_numpy(dtype=np.float64)
        for column in _of_kind(table, UNCERTAINTY)
    }


def ood_scores(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Kind -> [I] how unlike the training data, larger = less like it, in the order of the columns."""
    return {
        column.removeprefix(OOD): table[column].to_numpy(dtype=np.float64) for column in _of_kind(table, OOD)
    }


def is_correct(table: pd.DataFrame) -> np.ndarray:
    """[I] bool: prediction equals label."""
    return (table["prediction"] == table["label"]).to_numpy()


def _check_rows(path: str | Path, raw: pd.DataFrame, column: str, bad: pd.Series, expected: str) -> None:
    if bad.any():
        row = int(np.argmax(bad.to_numpy()))
        raise DataError(
            f"{path}: row {row + _HEADER_ROWS}: {column} is {raw[column].iloc[row]!r}, expected {expected} "
            f"({int(bad.sum())} such rows); {_REPAIR}"
        )
