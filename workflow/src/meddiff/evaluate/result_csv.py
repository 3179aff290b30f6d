"""Tables of results as CSV: written at full precision, and read back as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.errors import DataError
from meddiff.io import atomic_path


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table of results at full precision, atomically; undefined values are written ``nan``."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, na_rep="nan", lineterminator="\n")


def read_csv(
    path: str | Path, columns: Sequence[str] = (), repair: str = "", dtype: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Read what `write_csv` wrote; empty cells are text, ``nan`` is undefined.

    Args:
        path: the file.
        columns: those that must be there.
        repair: what to do about a file that is not right, for the message.
        dtype: column -> type, where it should not be guessed.

    Raises:
        DataError: if the file cannot be read or lacks columns.
    """
    try:
        table = pd.read_csv(
            path, dtype=dtype, na_values=["nan"], keep_default_na=False, float_precision="round_trip"
        )
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: not a readable CSV file: {error}; {repair}".removesuffix("; ")) from error
    if missing := [column for column in columns if column not in table.columns]:
        raise DataError(f"{path}: columns {missing} are missing; {repair}".removesuffix("; "))
    return table
