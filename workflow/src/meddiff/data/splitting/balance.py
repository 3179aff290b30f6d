"""Classes of equal size: images of the larger ones are left out of a split by lot."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping

import pandas as pd

from meddiff.config.schema.data.balance import Balance
from meddiff.config.schema.data.split import DRAWN, Split

log = logging.getLogger("meddiff")


def balanced(
    splits: Mapping[str, pd.DataFrame], balance: Balance | None, split: Split
) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Keep as many images of every class as the smallest one has, in the splits that `balance` names.

    A hash of seed and image id draws the images that are kept, so the order of rows has no part, and rows
    stay in theirs. No image changes its split, so groups and copies stay where they are.

    Args:
        splits: name -> table with `image_id` and `label`.
        balance: the splits; None for none.
        split: whose `seed` is that of the lot; 0 where splits are not drawn.

    Returns:
        The splits, and name -> images left out, of the splits that `balance` names.
    """
    seed = split.seed if isinstance(split, DRAWN) else 0
    found, left_out = dict(splits), {}
    for name in balance or ():
        table = splits[name]
        rank = table["image_id"].map(lambda image_id: _lot(seed, image_id)).groupby(table["label"]).rank()
        sizes = table["label"].value_counts()
        found[name] = table[rank <= sizes.min()].reset_index(drop=True)
        left_out[name] = len(table) - len(found[name])
        log.info(
            "balance: %s: %d images of %s classes with %d to %d images left out by lot, %d of each are kept",
            name, left_out[name], len(sizes), sizes.min(), sizes.max(), sizes.min(),
        )  # fmt: skip
    return found, left_out


def _lot(seed: int, image_id: str) -> str:
    return hashlib.sha256(f"balance/{seed}/{image_id}".encode()).hexdigest()
