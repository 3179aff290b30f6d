"""Which tables of a folder have the rows, and which add to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from meddiff.data.layouts.cells import PARQUET, read_text_table
from meddiff.errors import DataError, MeddiffError
from meddiff.starting.looking.columns import described, image_column, is_group, is_split, participant
from meddiff.starting.looking.labels import label_candidates
from meddiff.starting.looking.listing import Listing

_DELIMITERS = (",", ";", "\t", "|")
_HINTS = re.compile(r"label|ground_?truth|annotation|data_?entry|detailed_class", re.IGNORECASE)
_LEAST_FOUND = 0.1


@dataclass(frozen=True)
class Table:
    """A table of a folder.

    Attributes:
        path: below the folder.
        delimiter: what stands between its cells.
        cells: as text.
        image: the column that names images; None where none does.
        found: share of its cells that are names of files.
    """

    path: str
    delimiter: str
    cells: pd.DataFrame
    image: str | None
    found: float


@dataclass(frozen=True)
class Chosen:
    """The tables with the rows (several are read as one), and the others.

    Attributes:
        first: those with the rows; they have the same columns.
        others: further tables that name the same images.
        notes: what there was to choose from, for people.
    """

    first: Sequence[Table]
    others: Sequence[Table]
    notes: Sequence[str]

    @property
    def layout(self) -> dict[str, Any]:
        """Keys of the format."""
        paths = [table.path for table in self.first]
        layout: dict[str, Any] = {"kind": "table", "csv": paths[0] if len(paths) == 1 else paths}
        if self.first[0].delimiter != ",":
            layout["delimiter"] = self.first[0].delimiter
        return layout


def read_tables(listing: Listing) -> tuple[list[Table], list[str]]:
    """All tables of a folder that can be read, and why others cannot."""
    tables, problems = [], []
    for path in listing.tables:
        try:
            delimiter = _delimiter(listing, path)
            cells = read_text_table(listing.root / path, delimiter)
        except MeddiffError as error:
            problems.append(str(error).splitlines()[0])
            continue
        if len(cells) and len(cells.columns):
            image, found = image_column(cells, listing.images)
            tables.append(Table(path, delimiter, cells, image, found))
    return tables, problems


def choose(tables: Sequence[Table], csv: str | None, image: str | None) -> Chosen | None:
    """The tables with labels; None where no table names images.

    Args:
        tables: of the folder.
        csv: the one that the user names.
        image: the column with names of images that the user names.

    Raises:
        DataError: what the user names is not there.
    """
    if csv is not None and csv not in [table.path for table in tables]:
        there = ", ".join(table.path for table in tables) or "none"
        raise DataError(f"--csv {csv}: no such table in the folder, or it cannot be read; there are: {there}")
    if image is not None:
        tables = [_with_image(table, image) for table in tables if image in table.cells]
        if not tables:
            raise DataError(f"--image {image}: no table has such a column")
    usable = [table for table in tables if table.image is not None and table.found >= _LEAST_FOUND]
    named = [table for table in usable if table.path == csv] if csv else usable
    if not named:
        return None
    groups = [_alike(table, named) for table in named]
    first = max(groups, key=_rank)
    paths = {table.path for table in first}
    others = [table for table in usable if table.path not in paths]
    notes = [
        f"Also there: {table.path} ({len(table.cells):,} rows; {', '.join(map(str, table.cells))})."
        for table in others
    ]
    return Chosen(first, others, notes)


def joins(chosen: Chosen, wants_groups: bool) -> list[Mapping[str, Any]]:
    """Further tables that say who is in the images, or which split they are of, where the first do not.

    One is only joined if its columns are new, and it has a row for nearly every image.
    """
    cells, image = pd.concat([table.cells for table in chosen.first]), chosen.first[0].image
    keys, found = set(cells[image]), []
    for table in chosen.others:
        new = set(table.cells) - {table.image}
        adds = (wants_groups and any(map(is_group, new))) or any(is_split(table.cells[name]) for name in new)
        key = table.cells[table.image]
        if (
            not adds
            or key.duplicated().any()
            or new & set(cells)
            or table.delimiter != chosen.first[0].delimiter
        ):
            continue
        missing = len(keys - set(key)) / len(keys)
        if missing > 0.1:
            continue
        join: dict[str, Any] = {"csv": table.path, "key": table.image}
        if table.image != image:
            join["to"] = image
        if missing:
            join["missing"] = "blank"
        found.append(join)
        break
    return found


def participants(chosen: Chosen, cells: pd.DataFrame) -> dict[str, str]:
    """Columns that describe people, of the table itself or of another one with the same images."""
    own = {what: str(name) for name in reversed(list(cells)) if (what := participant(str(name)))}
    if own:
        return _in_order(own)
    for table in chosen.others:
        named = {what: str(name) for name in table.cells if (what := participant(str(name)))}
        if named and table.path.lower().endswith(".csv") and table.delimiter == ",":
            return {**_in_order(named), "csv": table.path, "id_column": str(table.image)}
    return {}


def _in_order(named: Mapping[str, str]) -> dict[str, str]:
    return {what: named[what] for what in ("age", "sex", "view") if what in named}


def _with_image(table: Table, image: str) -> Table:
    return Table(table.path, table.delimiter, table.cells, image, 1.0)


def _alike(table: Table, tables: Sequence[Table]) -> list[Table]:
    """The tables with the same columns that name other images."""
    seen, found = set(table.cells[table.image]), [table]
    for other in tables:
        if other is table or list(other.cells) != list(table.cells) or other.delimiter != table.delimiter:
            continue
        names = set(other.cells[table.image])
        if not names & seen and "table" not in table.cells:
            found.append(other)
            seen |= names
    return sorted(found, key=lambda each: each.path)


def _rank(group: Sequence[Table]) -> tuple[float, ...]:
    """How likely a group of tables is the one with the labels."""
    cells, image = pd.concat([table.cells for table in group]), group[0].image
    labels = label_candidates(cells, [image])
    found = sum(table.found * len(table.cells) for table in group)
    hint = any(_HINTS.search(PurePosixPath(table.path).name) for table in group)
    best = labels[0].score if labels else -1
    return (best >= 3, found, hint, best, -len(cells.columns))


def _delimiter(listing: Listing, path: str) -> str:
    """What divides the first line into most parts."""
    if PurePosixPath(path).suffix.lower() in PARQUET:
        return ","
    try:
        with open(listing.root / path, encoding="utf-8-sig", errors="replace") as stream:
            first = stream.readline()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return max(_DELIMITERS, key=lambda delimiter: (first.count(delimiter), delimiter == ","))


def columns_of(tables: Sequence[Table]) -> str:
    """The columns of tables with their values, for messages."""
    return "\n".join(
        f"{table.path} ({len(table.cells):,} rows)\n"
        + "\n".join(f"  {line}" for line in described(table.cells))
        for table in tables
    )
