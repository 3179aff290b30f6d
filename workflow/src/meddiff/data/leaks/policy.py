"""What is done about images that splits share: refuse, report, or move them to the training split."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from meddiff.config.schema.data.leaks import LeaksConfig
from meddiff.data.leaks.pairs import ALIKE_KIND, SAME_PIXELS, describe, find_pairs
from meddiff.data.tables import list_problems
from meddiff.errors import DataError

_KEYS = {"duplicates": SAME_PIXELS, "look_alikes": ALIKE_KIND}


def moved_to_train(
    splits: Mapping[str, pd.DataFrame], table: pd.DataFrame, leaks: LeaksConfig
) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Move what other splits share with an earlier one to the training split, as the policy says.

    Of a pair of a validation and a test image both are moved. The other images of their groups go with them,
    and what these share, until no split shares anything.

    Args:
        splits: ``train``, ``valid`` and ``test`` with `image_id`, `label` and `group`.
        table: the canonical table, with the columns `pixels` and `look`.
        leaks: which kinds are moved; there may be none.

    Returns:
        The splits: moved rows come after those of the training split, first of valid, then of test, in their
        order. And how many images are moved from valid and from test.
    """
    kinds = tuple(kind for key, kind in _KEYS.items() if getattr(leaks, key) == "move_to_train")
    splits, numbers = dict(splits), {"valid": 0, "test": 0}
    while kinds:
        pairs = find_pairs(splits, table, bits=leaks.bits, kinds=kinds)
        if pairs.empty:
            break
        ids = {*pairs["image_id"], *pairs.loc[pairs["other_split"] != "train", "other_image_id"]}
        for name in numbers:
            frame = splits[name]
            groups = set(frame.loc[frame["image_id"].isin(ids), "group"])
            moves = frame["group"].isin(groups)
            numbers[name] += int(moves.sum())
            splits["train"] = pd.concat([splits["train"], frame[moves]], ignore_index=True)
            splits[name] = frame[~moves].reset_index(drop=True)
    return splits, numbers


def refuse(pairs: pd.DataFrame, splits: Mapping[str, pd.DataFrame], leaks: LeaksConfig) -> None:
    """Raise for pairs of a kind whose policy is ``error``.

    Raises:
        DataError: with the first 20 of them, and what can be done.
    """
    refused = [
        key for key, kind in _KEYS.items() if getattr(leaks, key) == "error" and kind in set(pairs["kind"])
    ]
    if not refused:
        return
    found = pairs[pairs["kind"].isin([_KEYS[key] for key in refused])]
    keys = ", ".join(f"{key}: move_to_train" for key in refused)
    raise DataError(
        list_problems("images that two splits share", describe(found, splits))
        + f"\nTake them out of one of the splits, or say in the dataset's file `leaks: {{{keys}}}`, which "
        "moves those of validation and test to the training split, or `report` instead, which leaves them"
    )
