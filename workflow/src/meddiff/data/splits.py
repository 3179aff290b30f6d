"""Train, valid and test tables: drawn by a recipe, or taken from files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from meddiff.config.dataset import DatasetConfig, GivenSplit, RecipeSplit
from meddiff.data.formats import canonical_label
from meddiff.data.params import SplitParams
from meddiff.data.tables import SPLIT_COLUMNS, SPLITS, raise_problems, read_csv, write_csv
from meddiff.data.validate import check_splits
from meddiff.errors import DataError


def make_splits(dataset: DatasetConfig | SplitParams, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Make the three splits that `dataset.split` asks for, and check them.

    Args:
        dataset: its classes and split are used.
        table: canonical table with `image_id, path, label, group, sha256`.

    Returns:
        ``{"train": ..., "valid": ..., "test": ...}``, each with `image_id, path, label, group`.

    Raises:
        DataError: given files are unusable, or the splits leak or lack a class (see `check_splits`).
    """
    if isinstance(dataset.split, RecipeSplit):
        splits = draw_splits(table, dataset.split)
    else:
        splits = given_splits(table, dataset.split)
    names = [entry.name for entry in dataset.classes]
    check_splits(splits, dict(zip(table["image_id"], table["sha256"], strict=True)), names)
    return splits


def write_splits(splits: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write ``<folder>/{train,valid,test}.csv``."""
    for name in SPLITS:
        write_csv(splits[name][SPLIT_COLUMNS], folder / f"{name}.csv")


def draw_splits(table: pd.DataFrame, recipe: RecipeSplit) -> dict[str, pd.DataFrame]:
    """Draw splits that keep groups together and the shares of all classes alike.

    Groups with an identical file are one unit. Units are taken from large to small, in an order that
    a hash of seed and unit draws among equals, and each goes to the split whose class counts n it brings
    closest to their targets T, measured by the sum of (n - T)^2 / T. The result does not depend on the
    order of `table`'s rows; rows are sorted by image id. Without groups each class count is within one
    or two images of its target.
    """
    table = table.sort_values("image_id", ignore_index=True)
    unit = pd.Series(_connected(table["group"], table["sha256"]), index=table.index)
    counts = pd.crosstab(unit, table["label"])
    draw = {u: hashlib.sha256(f"split/{recipe.seed}/{u}".encode()).hexdigest() for u in counts.index}
    rows = dict(zip(counts.index, counts.to_numpy(), strict=True))
    order = sorted(counts.index, key=lambda u: (-int(rows[u].sum()), draw[u]))
    shares = {"train": 1 - recipe.valid - recipe.test, "valid": recipe.valid, "test": recipe.test}
    target = np.array([shares[name] for name in SPLITS])[:, None] * counts.to_numpy().sum(axis=0)
    have = np.zeros_like(target)
    chosen: dict[str, str] = {}
    for name in order:
        gain = (rows[name] * (rows[name] + 2 * (have - target)) / target).sum(axis=1)
        best = int(np.argmin(gain))
        have[best] += rows[name]
        chosen[name] = SPLITS[best]
    split = unit.map(chosen)
    return {name: table.loc[split == name, SPLIT_COLUMNS].reset_index(drop=True) for name in SPLITS}


def given_splits(table: pd.DataFrame, given: GivenSplit) -> dict[str, pd.DataFrame]:
    """Take the splits from three CSV files with a column `image_id`; their rows and order are kept.

    Path, label and group come from `table`. Where a file has a column `label` it must agree with it
    (class index). Images of `table` that no file names are left out.

    Raises:
        DataError: a file is missing or has no column `image_id`, or names images that are not in the
            table, or says another label.
    """
    known = table.set_index("image_id", drop=False)
    splits, problems = {}, []
    for name in SPLITS:
        path = getattr(given, name)
        rows = read_csv(path, ["image_id"])
        if rows.empty:
            raise DataError(f"{path}: has no rows; expected the image ids of the {name} split")
        for row, image_id in rows["image_id"].items():
            if not image_id:
                problems.append(f"{path}: row {row}: no image id")
            elif image_id not in known.index:
                problems.append(f"{path}: row {row}: image id {image_id!r} is not in the dataset")
            elif "label" in rows and canonical_label(rows.at[row, "label"]) != str(
                known.at[image_id, "label"]
            ):
                problems.append(
                    f"{path}: row {row}: label {rows.at[row, 'label']!r} of {image_id!r}, but the dataset "
                    f"says class index {known.at[image_id, 'label']}"
                )
        present = [image_id for image_id in rows["image_id"] if image_id in known.index]
        splits[name] = known.loc[present, SPLIT_COLUMNS].reset_index(drop=True)
    raise_problems("given splits", problems)
    return splits


def _connected(groups: Sequence[str], hashes: Sequence[str]) -> list[str]:
    """For each row the smallest group of all that are connected to its own by an identical file."""
    parent: dict[str, str] = {}

    def find(group: str) -> str:
        while parent.setdefault(group, group) != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    owner: dict[str, str] = {}
    for group, sha256 in zip(groups, hashes, strict=True):
        low, high = sorted((find(group), find(owner.setdefault(sha256, group))))
        parent[high] = low
    return [find(group) for group in groups]
