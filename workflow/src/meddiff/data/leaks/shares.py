"""How many images of a split share something with another split, by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import pandas as pd

from meddiff.data.leaks.pairs import ALIKE_KIND, SAME_GROUP, SAME_PIXELS
from meddiff.data.tables import read_csv
from meddiff.errors import DataError

ANYTHING, ALL, UNKNOWN = "anything", "all", "unknown"
COLUMNS = ["kind", "column", "split", "other_split", "class", "part", "images", "known", "shared"]
_NUMBERS = ["images", "known", "shared"]
_COMPARED = {"valid": (("train",),), "test": (("train",), ("valid",), ("train", "valid"))}
_AND = " or "


def count_shared(
    pairs: pd.DataFrame,
    splits: Mapping[str, pd.DataFrame],
    class_names: Sequence[str],
    groups: pd.DataFrame | None = None,
    by: pd.Series | None = None,
) -> pd.DataFrame:
    """Count the images of the validation and the test split that share something with an earlier one.

    Args:
        pairs: as `meddiff.data.leaks.pairs.find_pairs` makes them of the same splits and groups.
        splits: ``train``, ``valid`` and ``test`` with `image_id` and `label` (class index).
        class_names: in order of the class index.
        groups: image id as index, a column each kind of group.
        by: image id -> a value by which images are counted, too, beside all together.

    Returns:
        Columns `COLUMNS`: `kind` as of pairs, or ``anything``; `column` of a group; `other_split` ``train``,
        ``valid`` or ``train or valid``; `class` a name or ``all``; `part` a value of `by` or ``all``;
        `images`: how many there are; `known`: those of them that have a group; `shared`: those of them that
        share it with the other split.
    """
    kinds = [(SAME_PIXELS, ""), (ALIKE_KIND, "")]
    kinds += [(SAME_GROUP, column) for column in groups] if groups is not None else []
    rows = []
    for split, others in _COMPARED.items():
        images = splits[split][["image_id", "label"]]
        images = images.assign(**{"class": images["label"].map(dict(enumerate(class_names)))})
        part = ALL if by is None else images["image_id"].map(by).fillna(UNKNOWN)
        images = images.assign(part=part)
        for (kind, column), other in product([*kinds, (ANYTHING, "")], others):
            found = pairs[(pairs["split"] == split) & pairs["other_split"].isin(other)]
            if kind != ANYTHING:
                found = found[(found["kind"] == kind) & (found["column"] == column)]
            known = images["image_id"].map(groups[column]).notna() if column else True
            here = images.assign(known=known, shared=images["image_id"].isin(found["image_id"]))
            identity = {"kind": kind, "column": column, "split": split, "other_split": _AND.join(other)}
            rows += [identity | row for row in _by_class(here, class_names)]
    return pd.DataFrame(rows)[COLUMNS]


def read_shared(path: Path) -> pd.DataFrame:
    """Read what `count_shared` made.

    Raises:
        DataError: if it cannot be read or lacks columns, or a number is none.
    """
    table = read_csv(path, COLUMNS, ours=True)
    wrong = [name for name in _NUMBERS if not table[name].str.fullmatch(r"\d+").all()]
    if wrong:
        raise DataError(f"{path}: {wrong[0]} has what is no number; delete it to have it made again")
    return table.astype(dict.fromkeys(_NUMBERS, "int64")).reset_index(drop=True)


def _by_class(images: pd.DataFrame, class_names: Sequence[str]) -> list[dict[str, object]]:
    """Numbers of images by part and class; of a part alone only where there are several."""
    parts = [ALL, *sorted(set(images["part"]) - {ALL})]
    rows = []
    for part, name in product(parts if len(parts) > 2 else [ALL], [ALL, *class_names]):
        among = (images["part"] == part) | (part == ALL)
        among &= (images["class"] == name) | (name == ALL)
        here = images[among]
        rows.append(
            {
                **{"class": name, "part": part, "images": len(here)},
                **{column: int(here[column].sum()) for column in ("known", "shared")},
            }
        )
    return rows
