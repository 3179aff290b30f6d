"""Train, valid and test tables: drawn by a recipe, taken from files, or as published."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from meddiff.config.dataset_slices import SplitParams
from meddiff.config.schema.data.split import (
    ArraysSplit,
    ColumnSplit,
    FoldsSplit,
    GivenSplit,
    OfficialSplit,
    RecipeSplit,
    Split,
    is_published,
)
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.layouts.arrays import split_of
from meddiff.data.layouts.canonical import SPLIT
from meddiff.data.layouts.rows import read_published
from meddiff.data.layouts.values import canonical_label
from meddiff.data.leaks.policy import moved_to_train
from meddiff.data.splitting.drawing import draw_fold, draw_splits, drawn
from meddiff.data.tables import SPLIT_COLUMNS, SPLITS, raise_problems, read_csv, write_csv
from meddiff.data.validate import check_splits
from meddiff.errors import DataError
from meddiff.io import write_json

ORIGIN = "origin.json"
FEW = 10  # test images of a class: of nine, one more or less is 11 %

log = logging.getLogger("meddiff")


def make_splits(
    dataset: DatasetConfig | SplitParams, table: pd.DataFrame, official: Path | None = None
) -> dict[str, pd.DataFrame]:
    """Make the three splits that `dataset.split` asks for, and check them.

    Args:
        dataset: its classes, format and split are used.
        table: canonical table with `image_id, path, label, group, sha256`, and `pixels` of `validate`.
        official: folder with the published ``{train,valid,test}.csv``, for a split that is one of these.

    Returns:
        ``{"train": ..., "valid": ..., "test": ...}``, each with `image_id, path, label, group`.

    Raises:
        DataError: given files are unusable, or the splits leak or lack a class (see `check_splits`).
    """
    split = dataset.split
    if isinstance(split, RecipeSplit):
        splits = draw_splits(table, split)
    elif isinstance(split, FoldsSplit):
        splits = draw_fold(table, split)
    elif isinstance(split, GivenSplit):
        splits = given_splits(table, split)
    elif isinstance(split, ArraysSplit):
        splits = array_splits(table)
    elif isinstance(split, ColumnSplit):
        splits = column_splits(table, split)
    elif official is None:
        raise DataError("split: official: the folder with the split files is missing; run `getsplits`")
    else:
        splits = official_splits(table, dataset, official)
    names = [entry.name for entry in dataset.classes]
    check_splits(splits, names)
    return splits


def separated(
    dataset: DatasetConfig | SplitParams, splits: dict[str, pd.DataFrame], table: pd.DataFrame
) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Move to the training split what the others share with it, where ``leaks:`` of the dataset says so.

    Args:
        dataset: its classes, split and `leaks` are used. Published splits stay as they are.
        splits: as `make_splits` makes them.
        table: canonical table with the columns `pixels` and `look`.

    Returns:
        The splits, and how many images are moved from valid and from test
        (`meddiff.data.leaks.policy.moved_to_train`).

    Raises:
        DataError: no image of a class is left in a split.
    """
    if not dataset.leaks.moves or is_published(dataset.split):
        return splits, {}
    splits, moved = moved_to_train(splits, table, dataset.leaks)
    counts = " and ".join(f"{number} of {name}" for name, number in moved.items())
    log.info("moved to train, since they or their groups share pixels or looks with it: %s", counts)
    check_splits(splits, [entry.name for entry in dataset.classes])
    return splits, moved


def report_splits(splits: dict[str, pd.DataFrame], class_names: Sequence[str]) -> None:
    """Warn in the log of splits without groups, and of classes with few test images."""
    if not has_groups(splits):
        log.warning(
            "no groups: an image is its own group; if patients have several images, name the column that "
            "says of which patient (`group_column` below `format`), or images of one may train and test"
        )
    numbers = splits["test"]["label"].value_counts()
    for index, name in enumerate(class_names):
        if (number := int(numbers.get(index, 0))) < FEW:
            log.warning("class %s has %d test images: fewer than %d tell little of it", name, number, FEW)


def has_groups(splits: dict[str, pd.DataFrame]) -> bool:
    """Whether any image is known to be of a patient or a lesion; without one each is its own group."""
    return any((frame["group"] != frame["image_id"]).any() for frame in splits.values())


def write_splits(splits: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write ``<folder>/{train,valid,test}.csv``."""
    for name in SPLITS:
        write_csv(splits[name][SPLIT_COLUMNS], folder / f"{name}.csv")


def write_origin(
    split: Split,
    splits: dict[str, pd.DataFrame],
    folder: Path,
    left_out: int,
    moved: Mapping[str, int],
    balanced: Mapping[str, int],
) -> None:
    """Write ``<folder>/origin.json``.

    It has the `kind` of split, a `note` that says where the rows come from, how many images of the table are
    in no split (`left_out`), how many of these for classes of equal size (`balanced`, by split, where that is
    asked for), how many are `moved` to train from the other splits, and whether there are `groups`.
    """
    content = {"kind": split.kind, "note": origin_note(split), "left_out": left_out}
    content |= {"moved": dict(moved), "groups": has_groups(splits)}
    write_json(folder / ORIGIN, content | ({"balanced": dict(balanced)} if balanced else {}))


def origin_note(split: Split) -> str:
    """Where splits come from, in one sentence for a log or below a table."""
    if isinstance(split, OfficialSplit):
        return "The published splits, row by row; the checksums of the files agree."
    if isinstance(split, ArraysSplit):
        return "The splits of the dataset's owners: the train, val and test arrays of their file."
    if isinstance(split, GivenSplit):
        return f"Given splits ({split.train}, {split.valid}, {split.test}); not the paper's."
    if isinstance(split, ColumnSplit):
        further = (
            ""
            if isinstance(split.valid, list)
            else f"; validation drawn from training, {split.valid:g} of it"
        )
        return f"Splits of the dataset's own table (column {split.column}{further}); not the paper's."
    shares = f"{split.valid:g} for validation, {split.test:.3g} for test, seed {split.seed}"
    if isinstance(split, FoldsSplit):
        which = f"Fold {split.fold} of {split.folds}"
        return f"{which}, drawn by this workflow (shares of {shares}); not the paper's."
    return f"Splits drawn by this workflow (shares of {shares}); not the paper's."


def column_splits(table: pd.DataFrame, split: ColumnSplit) -> dict[str, pd.DataFrame]:
    """Take the splits from the column ``split`` of the table, and draw validation images where it has none.

    Raises:
        DataError: `table` was made without such a column.
    """
    if SPLIT not in table:
        raise DataError("split: column: the table has no column 'split'; run `validate` again")
    table = table.sort_values("image_id", ignore_index=True)
    parts = {name: table[table[SPLIT] == name] for name in SPLITS}
    if not isinstance(split.valid, list):
        shares = {"train": 1 - split.valid, "valid": split.valid}
        parts |= drawn(parts["train"], shares, split.seed)
    if split.published:
        parts = _apart(parts)
    return {name: part[SPLIT_COLUMNS].reset_index(drop=True) for name, part in parts.items()}


def _apart(parts: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Give groups that are in several published parts a name in each, since files of splits share none.

    Within a part images stay together, which intervals need.
    """
    where = pd.concat([part.assign(part=name)[["group", "part"]] for name, part in parts.items()])
    several = where.groupby("group")["part"].nunique()
    shared = set(several.index[several > 1])
    if shared:
        log.warning(
            "THE PUBLISHED SPLITS SHARE GROUPS: %d of them, with %d images, the first is %r: results on them "
            "are too good by as much",
            len(shared), int(where["group"].isin(shared).sum()), min(shared),
        )  # fmt: skip
    named = {
        name: part["group"].where(~part["group"].isin(shared), part["group"] + f" ({name})")
        for name, part in parts.items()
    }
    return {name: part.assign(group=named[name]) for name, part in parts.items()}


def given_splits(table: pd.DataFrame, given: GivenSplit) -> dict[str, pd.DataFrame]:
    """Take the splits from three CSV files with a column `image_id`; their rows and order are kept.

    Path, label and group come from `table`. Where a file has a column `label` it must agree with it
    (class index). Images of `table` that no file names are left out.

    Raises:
        DataError: a file is missing or has no column `image_id`, or names images that are not in the
            table, or says another label.
    """
    known = table.set_index("image_id", drop=False)
    splits, problems = {}, []
    for name in SPLITS:
        path = getattr(given, name)
        rows = read_csv(path, ["image_id"])
        if rows.empty:
            raise DataError(f"{path}: has no rows; expected the image ids of the {name} split")
        for row, image_id in rows["image_id"].items():
            if not image_id:
                problems.append(f"{path}: row {row}: no image id")
            elif image_id not in known.index:
                problems.append(f"{path}: row {row}: image id {image_id!r} is not in the dataset")
            elif "label" in rows and canonical_label(rows.at[row, "label"]) != str(
                known.at[image_id, "label"]
            ):
                problems.append(
                    f"{path}: row {row}: label {rows.at[row, 'label']!r} of {image_id!r}, but the dataset "
                    f"says class index {known.at[image_id, 'label']}"
                )
        present = [image_id for image_id in rows["image_id"] if image_id in known.index]
        splits[name] = known.loc[present, SPLIT_COLUMNS].reset_index(drop=True)
    raise_problems("given splits", problems)
    return splits


def array_splits(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Take the splits that an ``.npz`` file has its images in, sorted by image id."""
    of = table["path"].map(split_of)
    return {name: table.loc[of == name, SPLIT_COLUMNS].reset_index(drop=True) for name in SPLITS}


def official_splits(
    table: pd.DataFrame, dataset: DatasetConfig | SplitParams, folder: Path
) -> dict[str, pd.DataFrame]:
    """Take the splits from published files, with all their rows, their order and their labels.

    Raises:
        DataError: a file is missing or not readable, or `table` was made from another one.
    """
    known = table.set_index("image_id")
    splits = {}
    frames, problems = read_published(dataset.format, dataset.classes, folder)
    for name, frame in frames.items():
        for row, image_id, label in zip(frame.index, frame["image_id"], frame["label"], strict=True):
            if image_id not in known.index or known.at[image_id, "label"] != label:
                problems.append(f"{name}.csv {row}: {image_id!r} is not in the table with this label")
        splits[name] = frame.reset_index(drop=True)
    raise_problems(f"{folder}: not the files that the table was made from (run `validate` again)", problems)
    return _apart(splits)
