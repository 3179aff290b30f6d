"""The text of CSV files: whether its rows are whole, before anything is made of them.

pandas fills the cells of a row that was cut off, and gives a column with one word in it another type.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.errors import DataError
from meddiff.io import regular_file

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 20

Rows = list[tuple[int, list[str]]]


def read_rows(
    path: str | os.PathLike[str], *, ours: bool, repair: str = "", delimiter: str = ","
) -> tuple[list[str], Rows]:
    """Header and rows of a comma-separated file, as text.

    Args:
        path: the file (UTF-8, with or without byte order mark).
        ours: whether this workflow wrote it: then quotes are right, and the last line ends with a line break.
        repair: what to do about a file that is not right, for messages.
        delimiter: what stands between cells.

    Returns:
        Names of the columns, and for each row the line on which it ends (the header is line 1) and its cells.

    Raises:
        DataError: no such file, no regular file, not UTF-8, a column twice, a row with more or fewer cells
            than the header, or a file of ours that ends within a row.
    """
    path = Path(path)
    what_to_do = f"; {repair}" if repair else ""
    try:
        regular_file(path)
        with open(path, encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file{what_to_do}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a UTF-8 CSV file: {error}{what_to_do}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=ours, delimiter=delimiter)
    try:
        header = [name.strip() for name in next(reader, [])]
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DataError(f"{path}: row {reader.line_num} is not CSV: {error}{what_to_do}") from error
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DataError(f"{path}: column {', '.join(twice)} is there more than once{what_to_do}")
    wrong = [
        f"  row {line}: {len(row)} cells, the header has {len(header)}"
        for line, row in rows
        if len(row) != len(header)
    ]
    if wrong:
        more = [f"  ... and {len(wrong) - _LISTED} more"] if len(wrong) > _LISTED else []
        text = "\n".join([*wrong[:_LISTED], *more])
        raise DataError(f"{path}: rows that are not whole{what_to_do}\n{text}")
    if ours and not text.endswith("\n"):
        line = rows[-1][0] if rows else 1
        raise DataError(f"{path}: ends within row {line}, which has no line break: it is cut off{what_to_do}")
    return header, rows


def check_numbers(
    path: str | os.PathLike[str], rows: pd.DataFrame, columns: Sequence[str], repair: str
) -> None:
    """Check that cells are numbers or ``nan``.

    Args:
        path: the file, for messages.
        rows: its cells as text; the index is the line.
        columns: those to check, where they are there.
        repair: what to do about a file that is not right.

    Raises:
        DataError: naming the first row that has something else.
    """
    for column in rows.columns.intersection(list(columns), sort=False):
        for line, cell in rows[column].items():
            if not _is_number(cell):
                raise DataError(f"{path}: row {line}: {column} is {cell!r}, expected a number; {repair}")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python reads 1_000, pandas does not
