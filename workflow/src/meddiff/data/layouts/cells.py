"""The cells of a dataset's tables, as text: files read, joined, and columns derived."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from meddiff.config.schema.data.layout import FoldersFormat, PlacesBase, TableFormat
from meddiff.config.schema.data.rows import DerivedColumn, Join
from meddiff.data.decoding.images import is_image, is_listed_image
from meddiff.data.layouts.folder import ImageFolder
from meddiff.data.tables import raise_problems, read_csv
from meddiff.errors import DataError

PARQUET = (".parquet", ".pq")
TABLE = "table"  # column with the file that a row is of, where there are several
LISTED = ("path", "folder", "top", "name")  # columns of a listing of folders


def read_cells(layout: PlacesBase, folder: ImageFolder, files: Iterable[str]) -> pd.DataFrame:
    """All rows of a layout, before any is left out.

    Args:
        layout: a table, or folders without one.
        folder: the dataset's.
        files: canonical paths of the files in it (``raw.json``).

    Returns:
        Text cells, stripped; what is missing in a Parquet file is blank. The index says where a row stands:
        ``row 3``, ``labels.csv row 3`` where there are several files, or the path of an image.

    Raises:
        DataError: a file is missing or cannot be read, a column is not there, or rows cannot be joined.
    """
    if isinstance(layout, FoldersFormat):
        cells = _listing(folder, files)
    elif isinstance(layout, TableFormat):
        cells = _stacked(layout, folder)
        for join in layout.join:
            cells = _joined(cells, join, folder, layout.delimiter)
    else:
        raise TypeError(f"{type(layout).__name__} has no cells")
    for name, listed in layout.lists.items():
        _is_new(cells, name, "lists")
        cells = cells.assign(**{name: _on_lists(cells, listed, layout, folder)})
    for name, derived in layout.columns.items():
        _is_new(cells, name, "columns")
        cells = cells.assign(**{name: _derived(cells, name, derived)})
    return cells


def column(cells: pd.DataFrame, name: str, key: str) -> pd.Series:
    """A column that the configuration names.

    Raises:
        DataError: naming the key and the columns there are, if it is not there.
    """
    check_columns(cells, [name], key)
    return cells[name]


def check_columns(cells: pd.DataFrame, names: Sequence[str], key: str) -> None:
    """Check that columns are there.

    Raises:
        DataError: naming those that are not, and the columns there are.
    """
    if missing := [name for name in dict.fromkeys(names) if name not in cells]:
        there = ", ".join(map(str, cells))
        hint = "; say `delimiter: ';'` under format" if len(cells.columns) == 1 and ";" in there else ""
        raise DataError(f"{key}: no column {', '.join(missing)}; the columns there are: {there}{hint}")


def image_names(cells: pd.DataFrame, layout: PlacesBase) -> pd.Series:
    """What the rows call their images."""
    if isinstance(layout, TableFormat):
        return column(cells, layout.image_column, "format.image_column")
    return cells["path"]


def read_text_table(path: Path, delimiter: str = ",") -> pd.DataFrame:
    """A CSV or Parquet file (by its ending) as text cells; the index is the row, the header being row 1.

    Raises:
        DataError: if it cannot be read.
    """
    if path.suffix.lower() not in PARQUET:
        return read_csv(path, delimiter=delimiter)
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except Exception as error:  # pyarrow reports damage with whatever comes up where it is
        raise DataError(f"{path}: cannot be read as a Parquet file: {error}") from error
    table.columns = [str(name) for name in table.columns]
    table.index = pd.RangeIndex(2, len(table) + 2)
    return table.map(_as_text)


def _as_text(cell: object) -> str:
    if isinstance(cell, list | tuple | np.ndarray):
        return str([str(part) for part in cell])
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if pd.isna(cell) else str(cell).strip()


def _stacked(layout: TableFormat, folder: ImageFolder) -> pd.DataFrame:
    """The files with labels, one after another."""
    several, parts = len(layout.labels) > 1, []
    for name in layout.labels:
        part = read_text_table(folder.table(name), layout.delimiter)
        if parts and set(part) != set(parts[0].columns) - {TABLE}:
            odd = set(part) ^ (set(parts[0].columns) - {TABLE})
            raise DataError(
                f"{name}: its columns are not those of {layout.labels[0]}: {', '.join(sorted(odd))}"
            )
        if several:
            _is_new(part, TABLE, "csv")
            part[TABLE] = name
        prefix = f"{name} row" if several else "row"
        parts.append(part.set_axis([f"{prefix} {row}" for row in part.index]))
    return pd.concat(parts)


def _joined(cells: pd.DataFrame, join: Join, folder: ImageFolder, delimiter: str) -> pd.DataFrame:
    """Add the columns of a second table."""
    other, own = read_text_table(folder.table(join.csv), delimiter), join.to or join.key
    key, keys = column(cells, own, "format.join.to"), column(other, join.key, f"{join.csv} (format.join.key)")
    problems = [
        f"row {row}: {join.key} {value!r} is there before"
        for row, value in keys[keys.duplicated() & (keys != "")].items()
    ]
    raise_problems(f"{join.csv} (format.join)", problems)
    new = [name for name in other if name != join.key]
    if both := sorted(set(new) & set(cells)):
        same = cells[both].equals(other.set_index(keys)[both].reindex(key).fillna("").set_index(cells.index))
        if not same:
            raise DataError(
                f"{join.csv} (format.join): column {both[0]!r} is in both tables and differs; rename one"
            )
        new = [name for name in new if name not in both]
    absent = ~key.isin(set(keys) - {""})
    if join.missing == "error":
        raise_problems(
            f"{join.csv} (format.join; `missing: blank` leaves the cells blank)",
            [f"{where}: {own} {key[where]!r} is not there" for where in cells.index[absent]],
        )
    partner = other.assign(key=keys)[keys != ""].set_index("key")[new]
    return cells.join(partner.reindex(key).fillna("").set_axis(cells.index))


def _listing(folder: ImageFolder, files: Iterable[str]) -> pd.DataFrame:
    """A row for each image file."""
    paths = [PurePosixPath(path) for path in sorted(files) if is_listed_image(path) and folder.has(path)]
    rows = [[str(path), path.parent.name, path.parts[0], path.name] for path in paths]
    return pd.DataFrame(rows, index=[str(path) for path in paths], columns=list(LISTED), dtype=object)


def _on_lists(
    cells: pd.DataFrame, listed: Mapping[str, str], layout: PlacesBase, folder: ImageFolder
) -> pd.Series:
    """The list that names a row's image; blank where none does."""
    place: dict[str, str] = {}
    for value, name in listed.items():
        for number, entry in enumerate(_lines(folder.table(name)), start=1):
            before = place.setdefault(_entry(entry), value)
            if before != value:
                raise DataError(f"{name}: line {number}: {entry!r} is in the list {before!r}, too")
    if not place:
        raise DataError(f"format.lists: {', '.join(listed.values())}: no line has a name")
    names = image_names(cells, layout).map(_entry)
    found = names.map(place)
    if found.notna().any():
        return found.fillna("")
    # Lists of paths where the table has names, or the other way round.
    bare = {PurePosixPath(entry).name: value for entry, value in place.items()}
    return names.map(lambda name: PurePosixPath(name).name).map(bare).fillna("")


def _entry(name: str) -> str:
    path = name.replace("\\", "/")
    return path.rsplit(".", 1)[0] if is_image(path) else path


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file (format.lists)") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text (format.lists): {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _derived(cells: pd.DataFrame, name: str, derived: DerivedColumn) -> pd.Series:
    pattern = re.compile(derived.pattern)
    given = column(cells, derived.column, f"format.columns.{name}")
    matches = given.map(pattern.fullmatch)
    problems = [
        f"{where}: {derived.column} {given[where]!r} does not match {derived.pattern!r}"
        for where in cells.index[matches.isna()]
    ]
    raise_problems(f"format.columns.{name}", problems)
    return matches.map(lambda match: (match[1] or "").strip())


def _is_new(cells: pd.DataFrame, name: str, key: str) -> None:
    if name in cells:
        raise DataError(f"format.{key}: the table has a column {name!r} already; choose another name")
