"""The user's file that says which images belong together, by columns of their choice."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from meddiff.config.schema.data.leaks import LeakGroupsConfig
from meddiff.data.groups import is_missing
from meddiff.data.tables import raise_problems, read_csv
from meddiff.errors import DataError

log = logging.getLogger("meddiff")


def read_groups(config: LeakGroupsConfig, image_ids: Sequence[str]) -> pd.DataFrame:
    """The groups of the images of a dataset.

    Args:
        config: file and columns. Where a cell of `id_column` is no image id, its stem is: file names do.
        image_ids: of the dataset; rows of other images are passed over.

    Returns:
        Image id as index, the columns of groups, and that of `by`; None where a cell names nothing
        (`meddiff.data.groups.is_missing`). Images without a row are not in it; the log says how many.

    Raises:
        DataError: the file or a column is missing, rows of an image differ, or no image has a row.
    """
    path = Path(config.csv)
    columns = list(dict.fromkeys([*config.columns, *([config.by] if config.by else [])]))
    rows = read_csv(path, [config.id_column, *columns])
    wanted = set(image_ids)
    ids = rows[config.id_column].map(lambda cell: cell if cell in wanted else PurePosixPath(cell).stem)
    rows = rows.assign(image_id=ids)[ids.isin(wanted)]
    if rows.empty:
        there, known = read_csv(path)[config.id_column].head(1).tolist(), sorted(wanted)[:1]
        raise DataError(
            f"{path} (leaks.groups): no row is of an image of this dataset: {config.id_column} begins with "
            f"{there!r}, image ids with {known}; say the column of image ids or file names, "
            "`leaks: {groups: {id_column: NAME}}`"
        )
    _refuse_differing(path, rows, columns)
    groups = rows.drop_duplicates("image_id").set_index("image_id")[columns]
    if missing := len(wanted) - len(groups):
        log.warning("%s (leaks.groups): %d of %d images have no row", path, missing, len(wanted))
    return groups.apply(lambda cells: cells.mask(is_missing(cells), None))


def _refuse_differing(path: Path, rows: pd.DataFrame, columns: list[str]) -> None:
    """Raise for rows of one image that are not of the same groups."""
    first: dict[str, tuple[int, tuple[str, ...]]] = {}
    problems = []
    for row, image_id, *cells in rows[["image_id", *columns]].itertuples():
        before, others = first.setdefault(image_id, (row, tuple(cells)))
        problems += [
            f"row {row}: {column} of {image_id!r} is {cell!r}, in row {before} it is {other!r}"
            for column, cell, other in zip(columns, cells, others, strict=True)
            if cell != other
        ]
    raise_problems(f"{path} (leaks.groups)", problems)
