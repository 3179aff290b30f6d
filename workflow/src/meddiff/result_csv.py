"""Tables of results as CSV: written at full precision, and read back as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.csv_text import check_numbers, read_rows
from meddiff.errors import DataError
from meddiff.io import atomic_path


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table of results at full precision, atomically; undefined values are written ``nan``."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, na_rep="nan", lineterminator="\n")


def read_csv(
    path: str | Path,
    columns: Sequence[str] = (),
    repair: str = "make it again",
    dtype: Mapping[str, Any] | None = None,
    numbers: Sequence[str] = (),
) -> pd.DataFrame:
    """Read what `write_csv` wrote; empty cells are text, ``nan`` is undefined.

    Args:
        path: the file.
        columns: those that must be there.
        repair: what to do about a file that is not right, for messages.
        dtype: column -> type, where it should not be guessed.
        numbers: columns whose cells must be numbers or ``nan``.

    Raises:
        DataError: if the file cannot be read or lacks columns; naming the row where one is cut off or has no
            number.
    """
    header, rows = read_rows(path, ours=True, repair=repair)
    if missing := [column for column in columns if column not in header]:
        raise DataError(f"{path}: columns {missing} are missing; {repair}")
    text = pd.DataFrame([row for _, row in rows], [line for line, _ in rows], header, dtype=object)
    check_numbers(path, text, numbers, repair)
    return pd.read_csv(
        path, dtype=dtype, na_values=["nan"], keep_default_na=False, float_precision="round_trip"
    )
