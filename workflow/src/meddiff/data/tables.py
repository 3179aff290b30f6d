"""CSV tables: read with row numbers as in a text editor, written atomically; all problems at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from meddiff.csv_text import read_rows
from meddiff.errors import DataError
from meddiff.io import atomic_path

SPLITS = ("train", "valid", "test")
SPLIT_COLUMNS = ["image_id", "path", "label", "group"]
TABLE_COLUMNS = [*SPLIT_COLUMNS, "sha256"]
_REPAIR = "mend it, or delete it to have it made again"


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


def read_csv(
    path: str | os.PathLike[str], columns: Sequence[str] = (), *, ours: bool = False, delimiter: str = ","
) -> pd.DataFrame:
    """Read a comma-separated file; every cell is a stripped string, so ids keep their leading zeros.

    Args:
        path: the file (UTF-8, with or without byte order mark).
        columns: the columns that must be there; others are kept as well.
        ours: whether this workflow wrote it (`meddiff.csv_text.read_rows`).
        delimiter: what stands between cells.

    Returns:
        One row a record. The index is the line on which the record ends, the header being line 1.

    Raises:
        DataError: as `meddiff.csv_text.read_rows`, or a required column is missing.
    """
    header, rows = read_rows(path, ours=ours, repair=_REPAIR if ours else "", delimiter=delimiter)
    if missing := [name for name in columns if name not in header]:
        there = ", ".join(header) or "none"
        raise DataError(f"{path}: no column {', '.join(missing)}; the columns there are: {there}")
    cells = [[cell.strip() for cell in row] for _, row in rows]
    index = pd.Index([line for line, _ in rows], name="row", dtype="int64")
    return pd.DataFrame(cells, index=index, columns=header, dtype=object)


def read_table_csv(path: str | os.PathLike[str], columns: Sequence[str] = TABLE_COLUMNS) -> pd.DataFrame:
    """Read a canonical table or split as this workflow writes them.

    Returns:
        Columns as in the file; `label` is int64, all others are strings. Index 0..n-1.

    Raises:
        DataError: as `read_csv`, or a label is no class index.
    """
    frame = read_csv(path, columns, ours=True)
    wrong = frame.loc[~frame["label"].str.fullmatch(r"\d+"), "label"]
    problems = [f"row {row}: label {value!r} is no class index" for row, value in wrong.items()]
    raise_problems(str(path), problems)
    return frame.assign(label=frame["label"].astype("int64")).reset_index(drop=True)


def read_splits(folder: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """Read ``train.csv``, ``valid.csv`` and ``test.csv`` in `folder` (see `read_table_csv`).

    Raises:
        DataError: one cannot be read, or an image or a group is in two of them. `split` writes no such files,
            but they may have been edited since.
    """
    splits = {name: read_table_csv(Path(folder) / f"{name}.csv", SPLIT_COLUMNS) for name in SPLITS}
    problems = list(shared_rows(splits, lambda frame: frame["image_id"], "the same image", within=True))
    if not problems:
        problems += shared_rows(splits, lambda frame: frame["path"], "the same file", within=False)
    problems += shared_rows(splits, lambda frame: frame["group"], "the same group", within=False)
    how = "splits must not share any; mend the rows, or delete the files to have them made again"
    raise_problems(f"{folder} ({how})", problems)
    return splits


def shared_rows(
    splits: Mapping[str, pd.DataFrame],
    key: Callable[[pd.DataFrame], pd.Series],
    what: str,
    within: bool,
) -> Iterable[str]:
    """Describe each row whose key was seen before: in another split, or (`within`) anywhere.

    Args:
        splits: name -> table with `image_id`; the header of its file is row 1.
        key: of each row.
        what: it has in common with the row before; the key is added to ``the same group``.
        within: whether a key may not occur twice in one split either.
    """
    first: dict[str, tuple[str, int, str]] = {}
    for name, frame in splits.items():
        for position, (image_id, value) in enumerate(zip(frame["image_id"], key(frame), strict=True)):
            before = first.setdefault(value, (name, position + 2, image_id))
            here = (name, position + 2, image_id)
            if before != here and (within or before[0] != name):
                yield (
                    f"{before[0]} row {before[1]} ({before[2]}) and {name} row {here[1]} ({image_id}): "
                    f"{what}" + (f" {value!r}" if what == "the same group" else "")
                )


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write `frame` without its index, atomically."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
