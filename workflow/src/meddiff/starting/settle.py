"""A draft as the reader reads it: what does not fit is left out by a rule that the file states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from meddiff.data.layouts.canonical import Rows
from meddiff.data.layouts.folder import ImageFolder
from meddiff.data.layouts.labels import BLANK, OTHERS, SEVERAL
from meddiff.data.layouts.rows import read_rows
from meddiff.errors import DataError, MeddiffError
from meddiff.starting.classes import counted
from meddiff.starting.draft import Draft
from meddiff.starting.looking.listing import Listing
from meddiff.starting.looking.parts import recipe

_SHOWN = 6
# Why the reader leaves rows out -> the key of the format that says that it may.
_RULES = {BLANK: "blank", OTHERS: "others", SEVERAL: "several", "image not found": "missing"}
_MIXED, _MERGED = "rows of images with labels of several classes", "further rows of an image"


def settled(made: Draft, listing: Listing) -> Draft:
    """A draft as the reader reads it, with rules for rows that do not fit, and classes that splits can have.

    Raises:
        DataError: fewer than two classes are left.
    """
    arrays = made.layout["kind"] == "arrays"
    lenient = {} if arrays else dict.fromkeys(_RULES.values(), "leave_out") | {"repeats": "merge"}
    if "one_hot" in made.layout:
        lenient.pop("blank", None)
    while True:
        if len(made.classes) < 2:
            known = f"{made.label.name}: {counted(made.label)}"
            raise DataError(
                f"{listing.root}: fewer than two classes have images in every split ({known}); two are "
                "needed. Another column is named with --label COLUMN"
            )
        trial = replace(made, layout={**made.layout, **lenient})
        rows = _read(trial, listing)
        thin = _thin(rows.table, len(made.classes), made.split)
        if not thin:
            break
        made = _without(made, thin)
    left_out = {reason: number for reason, number in rows.flow.left_out.items() if number}
    reasons = set(left_out)
    rules = {key: "leave_out" for reason, key in _RULES.items() if reason in reasons}
    rules |= {"several": "leave_out"} if _MIXED in reasons else {}
    rules |= {"repeats": "merge"} if {_MIXED, _MERGED} & reasons else {}
    left = [f"Left out: {number:,} rows with {reason}." for reason, number in left_out.items()]
    wrong = [f"To be mended: {problem}" for problem in rows.problems[:_SHOWN]]
    notes = {**made.notes, "format": [*left, *wrong]}
    return replace(made, layout={**made.layout, **rules}, notes=notes, rows=rows)


def _thin(table: pd.DataFrame, classes: int, split: Mapping[str, Any]) -> set[int]:
    """Classes without an image in a part, or without groups for all parts of a draw."""
    by_class = [table[table["label"] == index] for index in range(classes)]
    if split["kind"] == "arrays":
        return set()
    if split["kind"] == "recipe":
        return {index for index, rows in enumerate(by_class) if rows["group"].nunique() < 3}
    drawn = not isinstance(split["valid"], list)
    wanted = {"train", "test"} if drawn else {"train", "valid", "test"}
    return {
        index
        for index, rows in enumerate(by_class)
        if not wanted <= set(rows["split"])
        or (drawn and rows.loc[rows["split"] == "train", "group"].nunique() < 2)
    }


def _without(made: Draft, thin: set[int]) -> Draft:
    """Without some classes; or, if too few were left, with a split of our own."""
    kept = [one for index, one in enumerate(made.classes) if index not in thin]
    if len(kept) < 2 and made.split["kind"] == "column":
        parts = recipe(["The split that came along lacks classes in a part: another one is drawn."])
        layout = {key: value for key, value in made.layout.items() if key != "lists"}
        return replace(made, layout=layout, split=parts.split, notes={**made.notes, "split": parts.notes})
    names = ", ".join(made.classes[index]["name"] for index in sorted(thin))
    more = [
        *made.notes.get("classes", []),
        f"Too rare for training, validation and test, so left out: {names}.",
    ]
    return replace(made, classes=kept, notes={**made.notes, "classes": more})


def _read(made: Draft, listing: Listing) -> Rows:
    dataset = made.dataset()
    folder = ImageFolder(listing.root, dataset.format)
    try:
        return read_rows(dataset, folder, listing.images)
    except MeddiffError as error:
        raise DataError(f"{listing.root}: {error}") from error
