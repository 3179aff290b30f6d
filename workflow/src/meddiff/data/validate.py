"""Find out what is wrong with a dataset before anything expensive starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.config.dataset import DatasetConfig, OfficialSplit
from meddiff.data.folder import ImageFolder
from meddiff.data.formats import read_rows, read_split_rows
from meddiff.data.images import decode, thread_map
from meddiff.data.params import ValidateParams
from meddiff.data.tables import SPLITS, TABLE_COLUMNS, list_problems, raise_problems
from meddiff.errors import DataError
from meddiff.io import sha256_file
from meddiff.progress import track

log = logging.getLogger("meddiff")


def validate_dataset(
    dataset: DatasetConfig | ValidateParams,
    root: Path,
    manifest: Mapping[str, Any],
    threads: int | None = None,
    official: Path | None = None,
) -> pd.DataFrame:
    """Read the dataset's table, decode every image of it, and check what the table says.

    Args:
        dataset: its format, classes and split are used.
        root: the dataset's folder.
        manifest: ``{"files": {path: {"size": bytes, "sha256": hex}}}`` as `fetch` writes it.
        threads: for decoding; default all CPUs of this process.
        official: folder with the published ``{train,valid,test}.csv``; where the dataset's split is one of
            these, they are the table, and the dataset's own CSV is not needed.

    Returns:
        Columns `image_id, path, label, group, sha256`, sorted by image id, index 0..n-1.

    Raises:
        DataError: one error that lists the first 20 problems and their rows: unknown labels, images
            that are missing, damaged or changed since `fetch`, duplicate ids, a class without images.
    """
    folder = ImageFolder(root, dataset.format)
    if isinstance(dataset.split, OfficialSplit):
        if official is None:
            raise DataError("split: official: the folder with the split files is missing; run `getsplits`")
        source, (table, problems) = official, official_rows(dataset, official)
    else:
        source = _own_csv(dataset, folder)
        table, problems = read_rows(dataset, source)
        table = table.rename(index=lambda row: f"row {row}")
    problems += _duplicates(table)
    check = partial(_check_image, folder, manifest.get("files", {}))
    results = thread_map(check, list(table["path"]), threads)
    hashes: list[str] = []
    for where, (sha256, problem) in zip(
        table.index, track(results, "checking images", total=len(table)), strict=True
    ):
        hashes.append(sha256)
        if problem:
            problems.append(f"{where}: {problem}")
    problems += _empty_classes(table["label"], [entry.name for entry in dataset.classes])
    raise_problems(str(source), problems)
    table = table.assign(sha256=hashes)[TABLE_COLUMNS]
    return table.sort_values("image_id", ignore_index=True)


def official_rows(dataset: DatasetConfig | ValidateParams, folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The canonical rows of the published files in `folder`, and what is wrong with the others.

    The index names file and row, such as ``train.csv row 2``.
    """
    tables, problems = [], []
    for name in SPLITS:
        table, wrong = read_split_rows(dataset.format, dataset.classes, folder / f"{name}.csv")
        tables.append(table.rename(index=lambda row, name=name: f"{name}.csv row {row}"))
        problems += [f"{name}.csv {text}" for text in wrong]
    return pd.concat(tables), problems


def check_splits(
    splits: Mapping[str, pd.DataFrame],
    hashes: Mapping[str, str],
    class_names: Sequence[str],
    published: bool = False,
) -> None:
    """Check that splits do not leak into each other and that each has images of every class.

    Args:
        splits: name -> table with `image_id`, `label` (class index) and `group`. Rows are named by
            position, the header of the file being row 1.
        hashes: image id -> SHA-256 of the file.
        class_names: names of the classes, in order of their index.
        published: these are somebody's published splits, which are what they are: identical files in two of
            them are a warning in the log and no error.

    Raises:
        DataError: an image id occurs twice; a group or identical content occurs in two splits; a split
            has no image of a class.
    """
    problems: list[str] = []
    for name, frame in splits.items():
        problems += [f"{name}: {text}" for text in _empty_classes(frame["label"], class_names)]
    problems += _shared(splits, lambda frame: frame["image_id"], "the same image", within=True)
    problems += _shared(splits, lambda frame: frame["group"], "the same group", within=False)
    identical = list(
        _shared(
            splits, lambda frame: frame["image_id"].map(hashes.__getitem__), "identical files", within=False
        )
    )
    if published and identical:
        log.warning(
            "THE PUBLISHED SPLITS SHARE IMAGES: results on them are too good by as much. %s",
            list_problems("identical files", identical, listed=1000),
        )
    raise_problems("splits", problems if published else problems + identical)


def _own_csv(dataset: DatasetConfig | ValidateParams, folder: ImageFolder) -> Path:
    csv = folder.csv()
    if not csv.is_file():
        others = sorted(path.name for place in {csv.parent, folder.root} for path in place.glob("*.csv"))
        raise DataError(
            f"{csv}: there is no such file (format.csv); CSV files there: {', '.join(others) or 'none'}. "
            "Splits that are not published ones need the dataset's own labels"
        )
    return csv


def _shared(
    splits: Mapping[str, pd.DataFrame],
    key: Callable[[pd.DataFrame], pd.Series],
    what: str,
    within: bool,
) -> Iterable[str]:
    """Describe each row whose key was seen before: in another split, or (`within`) anywhere."""
    first: dict[str, tuple[str, int, str]] = {}
    for name, frame in splits.items():
        for position, (image_id, value) in enumerate(zip(frame["image_id"], key(frame), strict=True)):
            before = first.setdefault(value, (name, position + 2, image_id))
            here = (name, position + 2, image_id)
            if before != here and (within or before[0] != name):
                yield (
                    f"{before[0]} row {before[1]} ({before[2]}) and {name} row {here[1]} ({image_id}): "
                    f"{what}" + (f" {value!r}" if what == "the same group" else "")
                )


def _check_image(
    folder: ImageFolder, files: Mapping[str, Mapping[str, Any]], path: str
) -> tuple[str, str | None]:
    """SHA-256 of one image and what is wrong with it."""
    entry, file = files.get(path), folder.file(path)
    try:
        size = file.stat().st_size
        if entry is not None and size != entry["size"]:
            return "", f"{path}: has {size} bytes, the manifest says {entry['size']}; run `fetch` again"
        decode(file, 3)
        return entry["sha256"] if entry is not None else sha256_file(file), None
    except OSError as error:
        return "", f"{path}: {error.strerror or error}"
    except DataError as error:
        return "", str(error).replace(str(file), path)


def _duplicates(table: pd.DataFrame) -> list[str]:
    first: dict[str, str] = {}
    problems = []
    for where, image_id in table["image_id"].items():
        if first.setdefault(image_id, where) != where:
            problems.append(f"{where}: image id {image_id!r} is already in {first[image_id]}")
    return problems


def _empty_classes(labels: pd.Series, class_names: Sequence[str]) -> list[str]:
    there = set(labels)
    problems = [f"no image of class {name!r}" for i, name in enumerate(class_names) if i not in there]
    unknown = sorted(label for label in there if not 0 <= label < len(class_names))
    return problems + [f"class index {label} is not one of 0..{len(class_names) - 1}" for label in unknown]
