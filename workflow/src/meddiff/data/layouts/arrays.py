"""Rows of a dataset whose images and labels are arrays of one ``.npz`` file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from meddiff.data.layouts.array_file import PARTS, ArrayFile
from meddiff.errors import DataError

# What the file calls a split -> what it is called here.
SPLIT_OF_PART = {"train": "train", "val": "valid", "test": "test"}


def array_rows(file: Path, canonical: str, known: Mapping[str, int]) -> tuple[pd.DataFrame, list[str]]:
    """The images of all parts of a file, in its order.

    Args:
        file: the ``.npz`` file.
        canonical: its canonical path.
        known: label as text -> position of its class; empty where all images are of the one class.

    Returns:
        Columns `image_id` (``train_00017``), `path` (``<canonical>/train_00017``), `label`, with an index
        such as ``train[17]``; and a problem for each image with an unknown label, which is left out.

    Raises:
        DataError: see `ArrayFile`.
    """
    arrays, tables, problems = ArrayFile(file), [], []
    for part in PARTS:
        values = pd.Series(arrays.labels(part)).astype(str)
        values.index = [f"{part}[{row}]" for row in range(len(values))]
        label = values.map(known) if known else pd.Series(0.0, index=values.index)
        problems += [
            f"{where}: unknown label {values[where]}; known are {', '.join(known)}: add `- {{value: "
            f"{values[where]}, name: NAME}}` to `classes`"
            for where in values.index[label.isna()]
        ]
        image_id = [f"{part}_{row:05d}" for row in range(len(values))]
        path = [f"{canonical}/{name}" for name in image_id]
        table = pd.DataFrame({"image_id": image_id, "path": path, "label": label}, index=values.index)
        tables.append(table[label.notna()])
    return pd.concat(tables), problems


def place_of(path: str) -> tuple[str, int]:
    """Part and row of an image by its canonical path, such as ``("train", 17)``.

    Raises:
        DataError: if it is no path that `array_rows` makes.
    """
    part, _, row = PurePosixPath(path).name.partition("_")
    if part not in PARTS or not row.isdecimal():
        raise DataError(f"{path}: is no image of an .npz file; expected a path that ends like train_00017")
    return part, int(row)


def split_of(path: str) -> str:
    """The split that the file has an image in, by its canonical path: train, valid or test."""
    return SPLIT_OF_PART[place_of(path)[0]]
