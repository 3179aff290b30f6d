"""What the splits of a dataset share, before anything is trained: pairs of images, numbers by class."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from meddiff.config.dataset_slices import LeaksParams
from meddiff.config.schema.data.split import is_published
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.leaks.looks import LOOK, PIXELS
from meddiff.data.leaks.pairs import ALIKE_KIND, SAME_GROUP, SAME_PIXELS, describe, find_pairs
from meddiff.data.leaks.policy import refuse
from meddiff.data.leaks.shares import ALL, ANYTHING, count_shared
from meddiff.data.leaks.user_groups import read_groups
from meddiff.data.tables import TABLE_COLUMNS, list_problems, read_table_csv, write_csv
from meddiff.errors import DataError

OWN_GROUP = "group"  # of the dataset itself, in the column of pairs
PAIRS, SHARED, REFUSED = "leaks.csv", "shared.csv", "leaks.refused.csv"

log = logging.getLogger("meddiff")


@dataclass(frozen=True)
class Leaks:
    """What splits share.

    Attributes:
        pairs: see `meddiff.data.leaks.pairs.find_pairs`.
        shared: see `meddiff.data.leaks.shares.count_shared`.
    """

    pairs: pd.DataFrame
    shared: pd.DataFrame


def find_leaks(
    dataset: DatasetConfig | LeaksParams, splits: Mapping[str, pd.DataFrame], table: pd.DataFrame
) -> Leaks:
    """Find what the splits of a dataset share, and say so in the log.

    Args:
        dataset: its classes and `leaks` are used.
        splits: ``train``, ``valid`` and ``test`` as `split` makes them.
        table: the canonical table with the columns `pixels` and `look` that `validate` makes. Of published
            splits that share its groups these are reported, too.

    Raises:
        DataError: the user's file of groups cannot be used.
    """
    leaks, groups, by = dataset.leaks, None, None
    if leaks.groups is not None:
        columns = read_groups(leaks.groups, pd.concat(splits.values())["image_id"])
        groups = columns[list(leaks.groups.columns)]
        by = columns[leaks.groups.by] if leaks.groups.by else None
    if is_published(dataset.split):  # of others no two share one
        own = table.set_index("image_id")["group"].rename(OWN_GROUP)
        own = own.mask(own == own.index, None).to_frame()  # an image without a group is its own
        groups = own if groups is None else groups.join(own, how="outer", rsuffix=" of the dataset")
    pairs = find_pairs(splits, table, groups, leaks.bits)
    names = [entry.name for entry in dataset.classes]
    shared = count_shared(pairs, splits, names, groups, by)
    _report(pairs, shared, splits, published=is_published(dataset.split))
    return Leaks(pairs, shared)


def write_leaks(
    dataset: DatasetConfig | LeaksParams, splits: Mapping[str, pd.DataFrame], table: Path, folder: Path
) -> None:
    """Write ``<folder>/leaks.csv`` and ``<folder>/shared.csv``, or refuse what the policy does not allow.

    What is refused is written to ``<folder>/leaks.refused.csv``, for the user to look through.

    Raises:
        DataError: see `find_leaks`; two splits share what the policy of the dataset says is an error.
    """
    rows = read_table_csv(table, [*TABLE_COLUMNS, PIXELS, LOOK])
    found, refused = find_leaks(dataset, splits, rows), folder / REFUSED
    refused.unlink(missing_ok=True)
    if not is_published(dataset.split):
        try:
            refuse(found.pairs, splits, dataset.leaks)
        except DataError as error:
            write_csv(found.pairs, refused)
            raise DataError(f"{error}. All pairs are in {refused}") from None
    write_csv(found.pairs, folder / PAIRS)
    write_csv(found.shared, folder / SHARED)


def _report(
    pairs: pd.DataFrame, shared: pd.DataFrame, splits: Mapping[str, pd.DataFrame], published: bool
) -> None:
    """Say in the log what is shared."""
    if pairs.empty:
        log.info("no two splits share an image or a group, and no image looks like one of another split")
        return
    if published and (pairs["kind"] == SAME_PIXELS).any():
        log.warning("THE PUBLISHED SPLITS SHARE IMAGES: results on them are too good by as much")
    titles = {
        SAME_PIXELS: "images of equal pixels in two splits",
        ALIKE_KIND: "images of different splits that look alike (if one is a copy, give both the same group)",
    }
    for kind, title in titles.items():
        if len(of_kind := pairs[pairs["kind"] == kind]):
            log.warning("%s", list_problems(title, describe(of_kind, splits)))
    rows = shared[(shared["part"] == ALL) & (shared["class"] == ALL) & (shared["shared"] > 0)]
    for row in rows.itertuples():
        what = row.column if row.kind == SAME_GROUP else {ANYTHING: "anything"}.get(row.kind, row.kind)
        log.warning(
            "%s: %d of %d images share %s with %s (%.1f %%)",
            row.split, row.shared, row.known, what, row.other_split, 100 * row.shared / row.known,
        )  # fmt: skip
