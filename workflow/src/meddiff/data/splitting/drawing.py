"""Splits that are drawn: in groups, with the shares of all classes alike, and independent of row order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from meddiff.config.schema.data.split import FoldsSplit, RecipeSplit
from meddiff.data.groups import connected
from meddiff.data.leaks.looks import PIXELS
from meddiff.data.tables import SPLIT_COLUMNS, SPLITS
from meddiff.errors import DataError


def draw_splits(table: pd.DataFrame, recipe: RecipeSplit) -> dict[str, pd.DataFrame]:
    """Draw splits that keep groups together and the shares of all classes alike.

    Groups with an image of equal pixels are one unit; see `_assigned` for how units are drawn. The result
    does not depend on the order of `table`'s rows; rows are sorted by image id. Without groups each class
    count is within one or two images of its target.

    Args:
        table: canonical table with `image_id, path, label, group, sha256`, and `pixels` of `validate`.
        recipe: shares and seed.

    Returns:
        ``{"train": ..., "valid": ..., "test": ...}``, each with `image_id, path, label, group`.
    """
    shares = {"train": 1 - recipe.valid - recipe.test, "valid": recipe.valid, "test": recipe.test}
    return drawn(table, shares, recipe.seed)


def drawn(table: pd.DataFrame, shares: Mapping[str, float], seed: int) -> dict[str, pd.DataFrame]:
    """As `draw_splits`, for splits of any names.

    Args:
        table: canonical table with `sha256`.
        shares: name of a split -> its share of the images; they sum to 1.
        seed: of the order among units of one size.
    """
    table, unit = _units(table)
    chosen = unit.map(_assigned(unit, table["label"], shares, f"split/{seed}"))
    return _tables(table, chosen, shares)


def draw_fold(table: pd.DataFrame, split: FoldsSplit) -> dict[str, pd.DataFrame]:
    """Draw the splits of one fold.

    All units are divided among the folds, which test one each; of the units that a fold does not test those
    that validate are drawn, by a lot of its own. So every image is in the test split of exactly one fold, and
    groups and copies are together in each. As of `draw_splits` the order of rows has no part.

    Args:
        table: as of `draw_splits`.
        split: number of folds and which one, share of the validation split, seed.

    Raises:
        DataError: if `split` does not say which fold, or there are fewer units than folds.
    """
    if split.fold is None:
        raise DataError("split: folds: one fold is drawn at a time; name it, such as `fold: 1`")
    table, unit = _units(table)
    if (units := unit.nunique()) < split.folds:
        raise DataError(
            f"split: folds: {split.folds} folds of {units} groups of images leave one without test images; "
            f"expected `folds: {max(units, 2)}` or fewer"
        )
    even = {str(number): 1 / split.folds for number in range(1, split.folds + 1)}
    tested = unit.map(_assigned(unit, table["label"], even, f"folds/{split.seed}")) == str(split.fold)
    rest = unit[~tested]
    shares = {"train": split.train / (1 - split.test), "valid": split.valid / (1 - split.test)}
    seed = f"folds/{split.seed}/valid{split.fold}"
    chosen = rest.map(_assigned(rest, table.loc[~tested, "label"], shares, seed))
    return _tables(table, chosen.reindex(table.index, fill_value="test"), SPLITS)


def _units(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """The rows sorted by image id, and the unit of each: images of groups that share an image's pixels."""
    table = table.sort_values("image_id", ignore_index=True)
    component = connected(table[["group", PIXELS if PIXELS in table else "sha256"]])
    # Of the names' order and not of themselves: pandas compares numbers much faster.
    position, names = pd.factorize(table["group"], sort=True)
    return table, pd.Series(names[pd.Series(position).groupby(component).transform("min")])


def _tables(table: pd.DataFrame, split: pd.Series, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    return {name: table.loc[split == name, SPLIT_COLUMNS].reset_index(drop=True) for name in names}


def _assigned(unit: pd.Series, label: pd.Series, shares: Mapping[str, float], seed: str) -> dict[str, str]:
    """Unit -> the part that it goes to.

    Units are taken from large to small, in an order that a hash of seed and unit draws among equals, and each
    goes to the part whose class counts n it brings closest to their targets T, measured by the sum of
    (n - T)^2 / T.

    Args:
        unit: [I] of each image.
        label: [I] class index of each image.
        shares: part -> share of the images of each class.
        seed: what hashes begin with.
    """
    counts = pd.crosstab(unit, label)
    draw = {u: hashlib.sha256(f"{seed}/{u}".encode()).hexdigest() for u in counts.index}
    rows = dict(zip(counts.index, counts.to_numpy(), strict=True))
    order = sorted(counts.index, key=lambda u: (-int(rows[u].sum()), draw[u]))
    names = list(shares)
    target = np.array(list(shares.values()))[:, None] * counts.to_numpy().sum(axis=0)
    have = np.zeros_like(target)
    chosen: dict[str, str] = {}
    for name in order:
        gain = (rows[name] * (rows[name] + 2 * (have - target)) / target).sum(axis=1)
        best = int(np.argmin(gain))
        have[best] += rows[name]
        chosen[name] = names[best]
    return chosen
