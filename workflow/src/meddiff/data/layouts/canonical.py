"""The canonical table that every layout is read into, and the groups of its images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from meddiff.data.flow import Flow
from meddiff.data.groups import group_names, is_missing
from meddiff.data.tables import SPLIT_COLUMNS

KEY = "key "  # before the kind of a key that images may share, in the name of its column
SPLIT = "split"

log = logging.getLogger("meddiff")


@dataclass(frozen=True)
class Rows:
    """The rows of a dataset's list.

    Attributes:
        table: the canonical table; the index says where a row stands.
        problems: one for each row that has one, and is not in the table.
        flow: rows of the file and those that a layout leaves out; it is right where there are no problems.
        missing: names of images that are not there, indexed by where they stand.
    """

    table: pd.DataFrame
    problems: list[str]
    flow: Flow
    missing: Sequence[tuple[str, str]] = ()


def grouped(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Make one column `group` of the columns with keys, and say in the log what groups there are."""
    keys = {name.removeprefix(KEY): table[name] for name in table if name.startswith(KEY)}
    group = group_names(table["image_id"], keys)
    if keys and len(table):
        alone = pd.concat({kind: is_missing(cells) for kind, cells in keys.items()}, axis=1).all(axis=1).sum()
        sizes = group.value_counts()
        log.info(
            "%s: %d images in %d groups, the largest of %d (%s); %d images have no %s: each is its own group",
            source, len(table), len(sizes), sizes.iloc[0], sizes.index[0], alone, " or ".join(keys),
        )  # fmt: skip
    elif len(table):
        log.warning(
            "%s: no column says which images are of one patient, so each image is a group of its own, and "
            "images of a patient may end up in different splits; name it: `group_column` under format",
            source,
        )
    more = [SPLIT] if SPLIT in table else []
    return table.assign(group=group)[[*SPLIT_COLUMNS, *more]]


def leads_out(path: str) -> bool:
    """Whether a path leads out of the folder that it is relative to."""
    return path.startswith("/") or ".." in PurePosixPath(path).parts
