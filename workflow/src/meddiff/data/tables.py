"""CSV tables: read with row numbers as in a text editor, written atomically; all problems at once."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from meddiff.errors import DataError
from meddiff.io import atomic_path

SPLITS = ("train", "valid", "test")
SPLIT_COLUMNS = ["image_id", "path", "label", "group"]
TABLE_COLUMNS = [*SPLIT_COLUMNS, "sha256"]


def raise_problems(what: str, problems: Sequence[str]) -> None:
    """Raise one DataError that lists the first 20 of `problems`; do nothing where there are none."""
    if problems:
        raise DataError(list_problems(what, problems))


def list_problems(what: str, problems: Sequence[str], listed: int = 20) -> str:
    """How many problems `what` has, and the first `listed` of them, one a line."""
    lines = [f"{what}: {len(problems)} problem{'s' if len(problems) > 1 else ''}"]
    lines += [f"  {problem}" for problem in problems[:listed]]
    if len(problems) > listed:
        lines.append(f"  ... and {len(problems) - listed} more")
    return "\n".join(lines)


def read_csv(path: str | os.PathLike[str], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a comma-separated file; every cell is a stripped string, so ids keep their leading zeros.

    Args:
        path: the file (UTF-8, with or without byte order mark).
        columns: the columns that must be there; others are kept as well.

    Returns:
        One row a record. The index is the line on which the record ends, the header being line 1.

    Raises:
        DataError: no such file, not UTF-8, a required column is missing, or a record's length is wrong.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = [name.strip() for name in next(reader, [])]
            records = [(reader.line_num, record) for record in reader if record]
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a UTF-8 CSV file: {error}") from error
    if missing := [name for name in columns if name not in header]:
        there = ", ".join(header) or "none"
        raise DataError(f"{path}: no column {', '.join(missing)}; the columns there are: {there}")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DataError(f"{path}: column {', '.join(twice)} is there more than once")
    wrong = [
        f"row {row}: {len(record)} cells, the header has {len(header)}"
        for row, record in records
        if len(record) != len(header)
    ]
    raise_problems(str(path), wrong)
    cells = [[cell.strip() for cell in record] for _, record in records]
    index = pd.Index([row for row, _ in records], name="row", dtype="int64")
    return pd.DataFrame(cells, index=index, columns=header, dtype=object)


def read_table_csv(path: str | os.PathLike[str], columns: Sequence[str] = TABLE_COLUMNS) -> pd.DataFrame:
    """Read a canonical table or split as this workflow writes them.

    Returns:
        Columns as in the file; `label` is int64, all others are strings. Index 0..n-1.

    Raises:
        DataError: as `read_csv`, or a label is no class index.
    """
    frame = read_csv(path, columns)
    wrong = frame.loc[~frame["label"].str.fullmatch(r"\d+"), "label"]
    problems = [f"row {row}: label {value!r} is no class index" for row, value in wrong.items()]
    raise_problems(str(path), problems)
    return frame.assign(label=frame["label"].astype("int64")).reset_index(drop=True)


def read_splits(folder: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """Read ``train.csv``, ``valid.csv`` and ``test.csv`` in `folder` (see `read_table_csv`)."""
    return {name: read_table_csv(Path(folder) / f"{name}.csv", SPLIT_COLUMNS) for name in SPLITS}


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write `frame` without its index, atomically."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
