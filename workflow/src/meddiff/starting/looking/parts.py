"""Splits that a dataset brings along: a column, lists of names, files or folders called train and test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from meddiff.data.layouts.cells import TABLE
from meddiff.data.tables import SPLITS
from meddiff.starting.looking.columns import is_split, part_of, plain
from meddiff.starting.looking.listing import Listing

DRAWN = 0.15
_LEAST_VALID = 20
_WORD = re.compile(r"(train_val|trainval|train(?:ing)?|val(?:id(?:ation)?)?|dev|test(?:ing)?)")


@dataclass(frozen=True)
class Parts:
    """A split.

    Attributes:
        split: what the file says under ``split``.
        lists: keys of the format's ``lists``.
        notes: what was found, for people.
    """

    split: Mapping[str, Any]
    lists: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def is_drawn(self) -> bool:
        """Whether it is ours."""
        return self.split["kind"] == "recipe"


def recipe(notes: list[str]) -> Parts:
    """Splits drawn by the workflow."""
    return Parts({"kind": "recipe", "valid": DRAWN, "test": DRAWN, "seed": 0}, notes=notes)


def find_parts(cells: pd.DataFrame, listing: Listing, image: str) -> Parts:
    """The split of a table's rows.

    Args:
        cells: a table as text, with the column `table` where it is of several files.
        listing: of the dataset's folder.
        image: the column with names of images.
    """
    for name in cells:
        if name != TABLE and is_split(cells[name]):
            return split_by(str(name), cells[name])
    if TABLE in cells:
        words = cells[TABLE].map(word_in)
        if is_split(words):
            return split_by(TABLE, cells[TABLE], word_in)
    if lists := _lists(cells[image], listing):
        column = "part" if "part" not in cells else "list_of_split"
        place = {name: word for word, path in lists.items() for name in _lines(listing, path)}
        known = cells[image].map(_bare).map(place).fillna("")
        found = split_by(column, known)
        return Parts(found.split, {column: lists}, found.notes)
    return recipe([f"No split came along: it is drawn, {DRAWN:.0%} each for validation and test."])


def split_by(column: str, cells: pd.Series, word: Any = lambda cell: cell) -> Parts:
    """The split that a column says; what it lacks is drawn from training, or left to a recipe.

    Args:
        column: its name.
        cells: its cells.
        word: a cell -> the word in it that names a split.
    """
    counts = cells[cells != ""].value_counts()
    values: dict[str, list[str]] = {name: [] for name in SPLITS}
    for cell in sorted(counts.index):
        if part := part_of(word(cell)):
            values[part].append(cell)
    notes = [f"{column}: " + ", ".join(f"{cell} {number:,}" for cell, number in counts.items()) + "."]
    if values["valid"] and not values["test"]:
        notes.append(
            "There is no test part, so the validation part is that; validation is drawn from training."
        )
        values = {**values, "valid": [], "test": values["valid"]}
    if values["valid"] and _is_small(counts[values["valid"]].sum(), counts[values["train"]].sum()):
        notes.append("The validation part is too small to choose by: it trains, and another one is drawn.")
        values = {**values, "train": sorted(values["train"] + values["valid"]), "valid": []}
    if not values["train"] or not values["test"]:
        return recipe([*notes, "That is no split for training and test, so one is drawn."])
    others = [cell for cell in counts.index if not part_of(word(cell))]
    if others:
        notes.append(f"Rows with {', '.join(others)} are in no split, and are left out.")
    split = {"kind": "column", "column": column, **values, "published": True}
    if not values["valid"]:
        split["valid"] = DRAWN
    return Parts(split, notes=notes)


def _is_small(valid: int, train: int) -> bool:
    """Whether a validation part says too little to choose weights by, and training can spare a larger one."""
    return valid < _LEAST_VALID and 2 * valid <= train


def word_in(name: str) -> str:
    """The word for a split in a file's name, such as `training` of ``ISIC-2017_Training_Part3.csv``."""
    found = _WORD.search(plain(PurePosixPath(name).stem))
    return found[1] if found else ""


def _lists(names: pd.Series, listing: Listing) -> dict[str, str]:
    """Text files called train or test that have a table's images: word -> file."""
    known, found = set(names.map(_bare)), {}
    for path in listing.ending(".txt"):
        word = word_in(path)
        if not word or word in found:
            continue
        lines = _lines(listing, path)
        if lines and sum(line in known for line in lines) > 0.5 * len(lines):
            found[word] = path
    parts = {part_of(word) for word in found}
    return found if {"train", "test"} <= parts or {"train", "valid"} <= parts else {}


def _lines(listing: Listing, path: str) -> list[str]:
    try:
        text = (listing.root / path).read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return []
    return [_bare(line.strip()) for line in text.splitlines() if line.strip()]


def _bare(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name.rsplit(".", 1)[0]
