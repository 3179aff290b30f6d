"""Who is in the images of each split, in numbers: the groundwork of "table 1". No person has a row in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.config.dataset_slices import DescribeParams
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.groups import is_missing
from meddiff.data.strata import column_values
from meddiff.data.tables import SPLITS, raise_problems, read_csv
from meddiff.errors import DataError

COLUMNS = ["split", "what", "level", "images", "median", "quartile_low", "quartile_high"]
ALL_SPLITS, UNKNOWN = "all", "unknown"
IMAGES, GROUPS, CLASS, AGE = "images", "groups", "class", "age"


def describe(
    dataset: DatasetConfig | DescribeParams,
    splits: Mapping[str, pd.DataFrame],
    root: Path,
    manifest: Mapping[str, Any],
) -> pd.DataFrame:
    """Numbers of images by split, and of those by class, sex and view; ages.

    Args:
        dataset: its `participants`, classes and format are used.
        splits: name -> split table (`image_id, path, label, group`).
        root: the dataset's folder; read only where `participants` names columns.
        manifest: as `fetch` writes it; a CSV that it lists must not have changed since.

    Returns:
        Columns `COLUMNS`, for each split and for all of them (`ALL_SPLITS`). In the column what are `IMAGES`,
        `GROUPS` (whose number is in the column images), `CLASS`, `AGE`, ``sex`` and ``view``; level is a
        class's name, a value, or `UNKNOWN`. Ages that are known have a median and quartiles, in years.

    Raises:
        DataError: an image has no row, or its age is no number of years; it lists the first 20 of them.
    """
    images = pd.concat([frame.assign(split=name) for name, frame in splits.items()], ignore_index=True)
    names = [entry.name for entry in dataset.classes]
    images[CLASS] = images["label"].map(dict(enumerate(names)))
    columns = dataset.participants.columns() if dataset.participants else {}
    for what, column in columns.items():
        key = f"participants.{what}"
        cells = images["image_id"].map(
            column_values(images["image_id"], column, dataset.format, root, manifest, key)
        )
        images[what] = cells.mask(is_missing(cells), None)
    if AGE in columns:
        images[AGE] = _ages(images, columns[AGE].column)
    counted = {CLASS: names, **{what: _levels(images[what]) for what in columns if what != AGE}}
    rows = []
    for split in (*SPLITS, ALL_SPLITS):
        part = images if split == ALL_SPLITS else images[images["split"] == split]
        rows += [[split, IMAGES, "", len(part)], [split, GROUPS, "", part["group"].nunique()]]
        if AGE in columns:
            known = part[AGE].dropna()
            low, median, high = known.quantile([0.25, 0.5, 0.75]) if len(known) else [float("nan")] * 3
            rows += [[split, AGE, "", len(known), median, low, high]]
            rows += [[split, AGE, UNKNOWN, len(part) - len(known)]]
        for what, levels in counted.items():
            rows += [[split, what, level, int((part[what] == level).sum())] for level in levels]
            rows += [[split, what, UNKNOWN, int(part[what].isna().sum())]] * (what != CLASS)
    return pd.DataFrame([row + [None] * (len(COLUMNS) - len(row)) for row in rows], columns=COLUMNS)


def read_participants(path: Path) -> pd.DataFrame:
    """Read what `describe` made.

    Raises:
        DataError: if it cannot be read or lacks columns, or a number is none.
    """
    table = read_csv(path, COLUMNS, ours=True)
    for column in COLUMNS[3:]:
        numbers = pd.to_numeric(table[column].replace("", None), errors="coerce")
        if (numbers.isna() & (table[column] != "")).any():
            raise DataError(f"{path}: {column} has what is no number; delete it to have it made again")
        table[column] = numbers
    return table.reset_index(drop=True)


def _ages(images: pd.DataFrame, column: str) -> pd.Series:
    ages = pd.to_numeric(images[AGE], errors="coerce").astype(float)
    wrong = images[AGE].notna() & ~ages.between(0, 130)
    raise_problems(
        f"participants.age ({column})",
        [
            f"image {image_id!r}: {age!r} is no number of years"
            for image_id, age in images.loc[wrong, ["image_id", AGE]].itertuples(index=False)
        ],
    )
    return ages


def _levels(values: pd.Series) -> list[str]:
    """The values there are, the most frequent first."""
    counts = values.value_counts()
    return sorted(counts.index, key=lambda level: (-counts[level], level))
