"""A folder without a table: which part of a path is the class, which the split, which the patient."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from meddiff.errors import DataError
from meddiff.starting.looking.columns import part_of
from meddiff.starting.looking.groups import Groups, find_groups, without_pattern
from meddiff.starting.looking.labels import MOST_VALUES, Label
from meddiff.starting.looking.listing import Listing
from meddiff.starting.looking.parts import Parts, recipe, split_by

# Pictures that belong to another one, with what their names end in.
_BESIDE = r"_(?:mask|masks|segmentation|superpixels|seg|annotation)(?:_\d+)?"
_NUMBERED = r"[A-Za-z]*\d+_([A-Za-z]+)"  # of study1_negative the class


def folder_layout(listing: Listing) -> dict[str, Any]:
    """``format`` without the label: the folder of all images, and files that belong to other ones."""
    parents = [PurePosixPath(path).parent.parts for path in listing.images]
    layout: dict[str, Any] = {"kind": "folders"}
    if shared := "/".join(_shared(parents, 1)):
        layout["image_dir"] = shared
    beside = sum(bool(re.search(rf"{_BESIDE}$", PurePosixPath(path).stem)) for path in listing.images)
    if beside:
        layout["columns"] = {"beside": {"column": "name", "pattern": rf".*?({_BESIDE})?\.[^.]+"}}
        layout["where"] = [{"column": "beside", "present": False}]
    return layout


def folder_cells(listing: Listing) -> pd.DataFrame:
    """A row for each image, as a listing of folders has them."""
    kept = [path for path in listing.images if not re.search(rf"{_BESIDE}$", PurePosixPath(path).stem)]
    paths = [PurePosixPath(path) for path in kept]
    rows = [[str(path), path.parent.name, path.parts[0], path.name] for path in paths]
    return pd.DataFrame(rows, index=kept, columns=["path", "folder", "top", "name"], dtype=object)


def folder_label(cells: pd.DataFrame) -> Label | None:
    """The part of the path that has the class: the deepest folder whose name says neither split nor patient.

    Args:
        cells: see `folder_cells`.
    """
    numbered = cells["folder"].str.extract(f"^{_NUMBERED}$", expand=False)
    if numbered.notna().all() and 2 <= numbered.nunique() <= MOST_VALUES:
        layout = {"columns": {"label": {"column": "folder", "pattern": _NUMBERED}}, "label_column": "label"}
        return _label("what follows the number in the folder's name", "label", layout, numbered)
    parts = cells["path"].map(lambda path: PurePosixPath(path).parent.parts)
    deepest = parts.map(len).max()
    for depth in range(deepest, 0, -1):
        names = parts.map(lambda of, depth=depth: of[depth - 1] if len(of) >= depth else "")
        counts = names.value_counts()
        if "" in counts or not 2 <= len(counts) <= min(MOST_VALUES, len(cells) / 2):
            continue
        if all(part_of(name) for name in counts.index):
            continue
        if (cells["folder"] == names).all():
            return _label("the folder's name", "folder", {}, names)
        pattern = "[^/]+/" * (depth - 1) + "([^/]+)/.*"
        layout = {"columns": {"label": {"column": "path", "pattern": pattern}}, "label_column": "label"}
        return _label(f"folders of level {depth}", "label", layout, names)
    return None


def folder_parts(cells: pd.DataFrame) -> tuple[Parts, dict[str, Any]]:
    """The split that folders called train and test make, and the columns that it needs."""
    parts = cells["path"].map(lambda path: PurePosixPath(path).parent.parts)
    for depth in range(1, parts.map(len).min() + 1):
        names = parts.map(lambda of, depth=depth: of[depth - 1])
        if names.nunique() > 1 and all(part_of(name) for name in names.unique()):
            above = {of[: depth - 1] for of in parts}
            start = (
                without_pattern("/".join(above.pop()))
                if len(above) == 1
                else "/".join(["[^/]+"] * (depth - 1))
            )
            pattern = f"{start}/([^/]+)/.*" if start else "([^/]+)/.*"
            return split_by("part", names), {"part": {"column": "path", "pattern": pattern}}
    return recipe(["No folders are called train and test: a split is drawn."]), {}


def folder_groups(cells: pd.DataFrame) -> Groups:
    """What paths and names say about patients."""
    return find_groups(cells[["path"]], "path", None)


def no_classes(listing: Listing, tables: str) -> DataError:
    """What to do where nothing labels the images."""
    folders = Counter(str(PurePosixPath(path).parent) for path in listing.images)
    shown = ", ".join(f"{name} ({number:,})" for name, number in folders.most_common(10))
    text = (
        f"{listing.root}: {len(listing.images):,} images, and nothing that could label them: no column of a "
        "table with a few values, and no folder a class. Images lie in "
        f"{shown}{' and others' * (len(folders) > 10)}. Name a column with --label COLUMN (and --csv FILE, "
        "--image COLUMN), or put the images of each class into a folder of its own"
    )
    return DataError(f"{text}. The tables there are:\n{tables}" if tables else f"{text}. There is no table.")


def _label(name: str, column: str, layout: dict[str, Any], values: pd.Series) -> Label:
    return Label(name, column, layout, {str(k): int(v) for k, v in values.value_counts().items()}, 5)


def _shared(parents: list[tuple[str, ...]], most: int) -> tuple[str, ...]:
    """The folders that all paths begin with, at most so many, and never the last one of a path."""
    shared: list[str] = []
    for names in zip(*parents, strict=False):
        if len(set(names)) > 1 or len(shared) == most:
            break
        shared.append(names[0])
    return tuple(shared) if all(len(of) > len(shared) for of in parents) else tuple(shared[:-1])
