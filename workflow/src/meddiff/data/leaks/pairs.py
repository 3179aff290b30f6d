"""Which images of different splits have something in common: pixels, looks, a patient or a lesion."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pandas as pd

from meddiff.data.leaks.looks import ALIKE, LOOK, PIXELS, alike
from meddiff.data.tables import SPLITS, read_csv

SAME_PIXELS, ALIKE_KIND, SAME_GROUP = "same_pixels", "alike", "same_group"
KINDS = (SAME_PIXELS, ALIKE_KIND, SAME_GROUP)
COLUMNS = [
    *("kind", "column", "value", "bits", "split", "image_id", "label"),
    *("other_split", "other_image_id", "other_label", "others"),
]
# Of those that an image shares something with: a patient may have hundreds of images.
LISTED = 20


def find_pairs(
    splits: Mapping[str, pd.DataFrame],
    table: pd.DataFrame,
    groups: pd.DataFrame | None = None,
    bits: int = ALIKE,
    kinds: tuple[str, ...] = KINDS,
) -> pd.DataFrame:
    """Pairs of images of different splits that have something in common.

    Args:
        splits: ``train``, ``valid`` and ``test`` with `image_id` and `label` (class index).
        table: the canonical table, with the columns `pixels` and `look` that `validate` makes.
        groups: image id as index, a column each kind of group, None where an image has none.
        bits: in which perceptual hashes may differ (`meddiff.data.leaks.looks`).
        kinds: of `KINDS`, what is looked for.

    Returns:
        Columns `COLUMNS`, one row a pair: the image of the later split (test comes after valid, this after
        train) and the other one. `kind` is ``same_pixels`` (`value`: the hash), ``alike`` (`bits`: in which
        they differ; pairs of the same pixels are not among them) or ``same_group`` (`column`, and its
        `value`); what does not apply is blank or missing. `others` says how many images of the other split
        the image shares this with, of which the first `LISTED` have a row: the most alike, then the smallest
        ids. Sorted by kind, column, split, image, bits and other image; the order of rows of `splits` and
        `table` has no part.
    """
    keys = table.set_index("image_id")[[PIXELS, LOOK]]
    known = {
        name: frame[["image_id", "label"]]
        .sort_values("image_id", ignore_index=True)
        .join(keys, on="image_id")
        for name, frame in splits.items()
    }
    found = []
    for other, split in combinations(SPLITS, 2):
        parts = []
        if SAME_PIXELS in kinds:
            parts.append(_sharing(known[split], known[other], PIXELS).assign(kind=SAME_PIXELS))
        if ALIKE_KIND in kinds:
            parts.append(_alike(known[split], known[other], bits).assign(kind=ALIKE_KIND))
        if SAME_GROUP in kinds and groups is not None:
            for column in groups:
                one, two = (known[name].join(groups[[column]], on="image_id") for name in (split, other))
                parts.append(_sharing(one, two, column).assign(kind=SAME_GROUP, column=column))
        found += [part.assign(split=split, other_split=other) for part in parts if len(part)]
    pairs = pd.concat([pd.DataFrame(columns=COLUMNS), *found])[COLUMNS]
    pairs = pairs.fillna({"column": "", "value": ""})
    pairs = pairs.astype({name: "Int64" for name in ("bits", "label", "other_label", "others")})
    order = {"kind": KINDS, "split": SPLITS, "other_split": SPLITS}
    by = ["kind", "column", "split", "image_id", "other_split", "bits", "other_image_id"]
    return pairs.sort_values(
        by, key=lambda cells: cells.map(order[cells.name].index) if cells.name in order else cells
    ).reset_index(drop=True)


def read_pairs(path: Path) -> pd.DataFrame:
    """Read what `find_pairs` made, as text.

    Raises:
        DataError: if it cannot be read or lacks columns.
    """
    return read_csv(path, COLUMNS, ours=True).reset_index(drop=True)


def describe(pairs: pd.DataFrame, splits: Mapping[str, pd.DataFrame]) -> list[str]:
    """One line each of `pairs`, with the rows of both images, the header of a split's file being row 1."""
    rows = {
        name: {image_id: row for row, image_id in enumerate(frame["image_id"], start=2)}
        for name, frame in splits.items()
    }
    lines = []
    for pair in pairs.itertuples():
        one = f"{pair.other_split} row {rows[pair.other_split][pair.other_image_id]} ({pair.other_image_id})"
        two = f"{pair.split} row {rows[pair.split][pair.image_id]} ({pair.image_id})"
        what = {
            SAME_PIXELS: "the same pixels",
            ALIKE_KIND: f"look alike ({pair.bits} of 255 bits differ)",
            SAME_GROUP: f"the same {pair.column} {pair.value!r}",
        }
        labels = (
            "" if pair.label == pair.other_label else f", with labels {pair.other_label} and {pair.label}"
        )
        lines.append(f"{one} and {two}: {what[pair.kind]}{labels}")
    return lines


def _sharing(images: pd.DataFrame, others: pd.DataFrame, column: str) -> pd.DataFrame:
    """Pairs of equal values of `column`."""
    others = others[[column, "image_id", "label"]].dropna()
    numbers = others[column].value_counts()
    listed = others.groupby(column, sort=False).head(LISTED)
    listed = listed.rename(columns={"image_id": "other_image_id", "label": "other_label"})
    pairs = images[[column, "image_id", "label"]].dropna().merge(listed, on=column)
    return pairs.assign(others=pairs[column].map(numbers)).rename(columns={column: "value"})


def _alike(images: pd.DataFrame, others: pd.DataFrame, bits: int) -> pd.DataFrame:
    """Pairs that look alike and are not the same pixels."""
    found = [pd.DataFrame(columns=["row", "other", "bits", "others"], dtype="int64")]
    pixels, other_pixels = images[PIXELS].to_numpy(), others[PIXELS].to_numpy()
    for row, other, distance in alike(images[LOOK].tolist(), others[LOOK].tolist(), bits):
        block = pd.DataFrame({"row": row, "other": other, "bits": distance})
        block = block[pixels[row] != other_pixels[other]]
        of_row = block.groupby("row")
        found.append(block.assign(others=of_row["other"].transform("size"))[of_row.cumcount() < LISTED])
    pairs = pd.concat(found, ignore_index=True)
    for column, of, position in (("", images, "row"), ("other_", others, "other")):
        for name in ("image_id", "label"):
            pairs[column + name] = of[name].to_numpy()[pairs[position]]
    return pairs
