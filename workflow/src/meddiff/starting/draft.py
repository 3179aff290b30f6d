"""A dataset's file in the making: what a folder has, put into words that its reader understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from meddiff.config.schema.data.layout import TableFormat
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.layouts.array_file import PARTS as ARRAY_PARTS
from meddiff.data.layouts.array_file import ArrayFile
from meddiff.data.layouts.canonical import Rows
from meddiff.data.layouts.cells import read_cells
from meddiff.data.layouts.folder import ImageFolder
from meddiff.errors import DataError
from meddiff.starting.classes import class_entries, counted, values_of
from meddiff.starting.looking import folders, places, tables
from meddiff.starting.looking.columns import is_view
from meddiff.starting.looking.groups import find_groups, given_groups
from meddiff.starting.looking.labels import Label, label_candidates, named_label
from meddiff.starting.looking.listing import Listing
from meddiff.starting.looking.parts import find_parts
from meddiff.starting.yaml_text import flow

_OTHERS_SHOWN = 6


@dataclass(frozen=True)
class Wishes:
    """What the user says instead of leaving it to be found: a table, columns, and folders of images."""

    csv: str | None = None
    image: str | None = None
    label: str | None = None
    group: str | None = None
    image_dirs: Sequence[str] = ()


@dataclass(frozen=True)
class Draft:
    """What is known of a dataset.

    Attributes:
        layout: ``format`` of its file.
        label: what the classes are of.
        classes, split, participants: as in its file.
        notes: key of the file -> comments.
        rows: what the reader makes of it; None before it was asked.
    """

    layout: dict[str, Any]
    label: Label
    classes: list[dict[str, Any]]
    split: Mapping[str, Any]
    participants: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, list[str]] = field(default_factory=dict)
    rows: Rows | None = None

    def content(self, title: str, image_size: int = 32, channels: int = 3) -> dict[str, Any]:
        """The keys of the dataset's file that are known so far."""
        content: dict[str, Any] = {
            "title": title,
            "source": {"kind": "local"},
            "format": self.layout,
            "classes": self.classes,
            "image_size": image_size,
            "channels": channels,
            "split": dict(self.split),
        }
        return content | ({"participants": dict(self.participants)} if self.participants else {})

    def dataset(self) -> DatasetConfig:
        """As configuration, for the reader."""
        return DatasetConfig.model_validate(self.content("draft"))


def draft(listing: Listing, wishes: Wishes) -> Draft:
    """Find out what a folder has.

    Args:
        listing: the files there.
        wishes: what the user says.

    Raises:
        DataError: there are no images, nothing labels them, or there are fewer than two classes; the message
            has the columns with their values, and the options that say what is meant.
    """
    arrays = listing.ending(".npz")
    if (listing.named or "").endswith(".npz") or (arrays and not listing.images):
        return _of_arrays(listing, [listing.named] if listing.named else arrays)
    if not listing.images:
        raise DataError(
            f"{listing.root}: no image file below this folder ({listing.in_words()}); name the folder that "
            "has both the images and the table: `meddiff init FOLDER --csv FILE`"
        )
    found, problems = tables.read_tables(listing)
    chosen = tables.choose(found, wishes.csv, wishes.image)
    if chosen is None and (wishes.csv or listing.named):
        shown = tables.columns_of(found) or "; ".join(problems)
        raise DataError(
            f"{wishes.csv or listing.named}: no column has names of the {len(listing.images):,} images below "
            f"{listing.root}, such as {listing.images[0]}; say which it is with --image COLUMN:\n{shown}"
        )
    made = _of_table(listing, chosen, wishes) if chosen else None
    made = made or _of_folders(listing, wishes, tables.columns_of(found))
    more = [f"Could not be read: {problem}" for problem in problems]
    return replace(made, notes={**made.notes, "": [*made.notes.get("", []), *more]})


def _of_table(listing: Listing, chosen: tables.Chosen, wishes: Wishes) -> Draft | None:
    """From a table; None where no column could be the label and the user names none."""
    image, first = chosen.first[0].image, pd.concat([table.cells for table in chosen.first])
    groups = (
        given_groups(wishes.group, first)
        if wishes.group in first
        else find_groups(first, image, wishes.label)
    )
    layout: dict[str, Any] = {**chosen.layout, "image_column": image}
    layout["image_dir"] = list(wishes.image_dirs) or places.image_dir(listing, first[image])
    if joined := tables.joins(chosen, wants_groups=not groups.columns):
        layout["join"] = joined
    cells = _cells(layout, listing)
    if joined and wishes.group is None:
        groups = find_groups(cells, image, wishes.label)
    if wishes.group is not None and wishes.group not in cells:
        raise DataError(
            f"--group {wishes.group}: no such column; the columns are: {', '.join(map(str, cells))}"
        )
    if wishes.group is not None:
        groups = given_groups(wishes.group, cells)
    label, others = _label(cells, [image, *groups.columns, *_names_of(cells, listing)], wishes)
    if label is None:
        return None
    parts = find_parts(cells, listing, image)
    layout |= {"columns": dict(groups.derived)} if groups.derived else {}
    layout |= {"lists": dict(parts.lists)} if parts.lists else {}
    layout |= {**label.layout, **groups.layout}
    located = places.located(listing, layout["image_dir"], cells[image])
    paths = located.path[~located.missing & ~located.wrong].unique()
    if len({PurePosixPath(path).stem for path in paths}) < len(paths):
        layout["image_id"] = "path"
    notes = {
        "": list(chosen.notes),
        "classes": _about_label(label, others, wishes.label is not None),
        "format.image_column": _views(cells),
        "format.group_column": groups.notes,
        "format.group_columns": groups.notes,
        "split": [*parts.notes, *([] if groups.columns else groups.notes)],
    }
    people = tables.participants(chosen, cells)
    return Draft(layout, label, class_entries(label, values_of(label)), parts.split, people, notes)


def _of_folders(listing: Listing, wishes: Wishes, there: str) -> Draft:
    """From folders."""
    cells = folders.folder_cells(listing)
    label = folders.folder_label(cells) if wishes.label is None and len(cells) else None
    if label is None:
        raise folders.no_classes(listing, there)
    layout = folders.folder_layout(listing)
    groups, (parts, columns) = folders.folder_groups(cells), folders.folder_parts(cells)
    made = {**layout.get("columns", {}), **columns, **label.layout.get("columns", {}), **groups.derived}
    layout |= {"columns": made} if made else {}
    layout |= {key: value for key, value in label.layout.items() if key != "columns"} | groups.layout
    notes = {
        "classes": [f"The class is {label.name}: {counted(label)}."],
        "format.group_column": groups.notes,
        "split": [*parts.notes, *([] if groups.columns else groups.notes)],
    }
    return Draft(layout, label, class_entries(label, values_of(label)), parts.split, {}, notes)


def _of_arrays(listing: Listing, files: Sequence[str]) -> Draft:
    """From an ``.npz`` file."""
    if len(files) > 1:
        raise DataError(
            f"{listing.root}: has several files of arrays, of which each is a dataset: {', '.join(files)}; "
            f"name one: `meddiff init {listing.root / files[0]}`"
        )
    arrays = ArrayFile(listing.root / files[0])
    labels = pd.concat([pd.Series(arrays.labels(part)).astype(str) for part in ARRAY_PARTS])
    counts = {str(value): int(number) for value, number in labels.value_counts().items()}
    label = Label("the labels of the file", None, {}, counts, 9)
    sizes = ", ".join(f"{part} {arrays.shapes[part][0]:,}" for part in ARRAY_PARTS)
    notes = {
        "classes": [f"Values of the file, with the images of each: {counted(label)}. Give them their names."],
        "split": [f"The file's own: {sizes}. `split: {{kind: recipe}}` draws another one."],
    }
    layout = {"kind": "arrays", "file": files[0]}
    return Draft(layout, label, class_entries(label, list(counts)), {"kind": "arrays"}, {}, notes)


def _label(cells: pd.DataFrame, taken: Sequence[str], wishes: Wishes) -> tuple[Label | None, list[Label]]:
    found = label_candidates(cells, taken)
    if wishes.label is not None:
        return named_label(cells, wishes.label), found
    return (found[0] if found else None), found[1:]


def _about_label(label: Label, others: Sequence[Label], named: bool) -> list[str]:
    """What was chosen and what was not."""
    lines = [f"The class is {label.name}{', as named' * named}: {counted(label)}."]
    if label.pair is not None:
        lines.append(
            "Images with neither of the two, or with both, are left out. Name others to compare them."
        )
    parts = label.layout.get("one_hot", {}).get("columns", []) if label.pair is None else []
    rivals = [other for other in others if other.name != label.name and other.column not in parts]
    if rivals and not named and rivals[0].score >= label.score:
        lines.append("This is a guess: other columns are as likely.")
    for other in rivals[:_OTHERS_SHOWN]:
        lines.append(f"Not taken: {other.name} ({counted(other, 6)}): --label {other.column or other.pair[1]}"
                     if other.column or other.pair else f"Not taken: {other.name}.")  # fmt: skip
    return lines


def _views(cells: pd.DataFrame) -> list[str]:
    """A column that tells frontal films from lateral ones, which may have to be chosen from."""
    for name in cells:
        filled = cells[name][cells[name] != ""]
        if is_view(str(name)) and 2 <= filled.nunique() <= 10:
            most = filled.value_counts()
            shown = ", ".join(f"{cell} {number:,}" for cell, number in most.items())
            rule = flow([{"column": str(name), "equal": str(most.index[0])}])
            return [f"{name}: {shown}. All are used; for some of them say `where: {rule}`."]
    return []


def _names_of(cells: pd.DataFrame, listing: Listing) -> list[str]:
    """Further columns with names of images: of cells that repeat, a number that is a name as well is none."""
    own = [name for name in cells if cells[name].nunique() > 0.5 * len(cells)]
    return [str(name) for name in own if tables.image_column(cells[[name]], listing.images)[1] > 0.5]


def _cells(layout: Mapping[str, Any], listing: Listing) -> pd.DataFrame:
    given = {**layout, "label_column": layout["image_column"]}
    table = TableFormat.model_validate(given)
    return read_cells(table, ImageFolder(listing.root, table), listing.images)
