"""Find out what is wrong with a dataset before anything expensive starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.config.dataset import DatasetConfig
from meddiff.data.formats import read_rows
from meddiff.data.images import decode, thread_map
from meddiff.data.params import ValidateParams
from meddiff.data.tables import TABLE_COLUMNS, raise_problems
from meddiff.errors import DataError
from meddiff.io import sha256_file
from meddiff.progress import track


def validate_dataset(
    dataset: DatasetConfig | ValidateParams,
    root: Path,
    manifest: Mapping[str, Any],
    threads: int | None = None,
) -> pd.DataFrame:
    """Read the dataset's table, decode every image of it, and check what the table says.

    Args:
        dataset: its format, classes and split are used.
        root: the folder that paths are relative to.
        manifest: ``{"files": {path: {"size": bytes, "sha256": hex}}}`` as `fetch` writes it.
        threads: for decoding; default all CPUs of this process.

    Returns:
        Columns `image_id, path, label, group, sha256`, sorted by image id, index 0..n-1.

    Raises:
        DataError: one error that lists the first 20 problems and their rows: unknown labels, images
            that are missing, damaged or changed since `fetch`, duplicate ids, a class without images.
    """
    csv = root / dataset.format.csv
    table, problems = read_rows(dataset, root)
    problems += _duplicates(table)
    files = manifest.get("files", {})
    check = partial(_check_image, root, files)
    results = thread_map(check, list(table["path"]), threads)
    hashes: list[str] = []
    for row, (sha256, problem) in zip(
        table.index, track(results, "checking images", total=len(table)), strict=True
    ):
        hashes.append(sha256)
        if problem:
            problems.append(f"row {row}: {problem}")
    problems += _empty_classes(table["label"], [entry.name for entry in dataset.classes])
    raise_problems(str(csv), problems)
    table = table.assign(sha256=hashes)[TABLE_COLUMNS]
    return table.sort_values("image_id", ignore_index=True)


def check_splits(
    splits: Mapping[str, pd.DataFrame], hashes: Mapping[str, str], class_names: Sequence[str]
) -> None:
    """Check that splits do not leak into each other and that each has images of every class.

    Args:
        splits: name -> table with `image_id`, `label` (class index) and `group`. Rows are named by
            position, the header of the file being row 1.
        hashes: image id -> SHA-256 of the file.
        class_names: names of the classes, in order of their index.

    Raises:
        DataError: an image id occurs twice; a group or identical content occurs in two splits; a split
            has no image of a class.
    """
    problems: list[str] = []
    for name, frame in splits.items():
        problems += [f"{name}: {text}" for text in _empty_classes(frame["label"], class_names)]
    problems += _shared(splits, lambda frame: frame["image_id"], "the same image", within=True)
    problems += _shared(splits, lambda frame: frame["group"], "the same group", within=False)
    problems += _shared(
        splits, lambda frame: frame["image_id"].map(hashes.__getitem__), "identical files", within=False
    )
    raise_problems("splits", problems)


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


def _check_image(root: Path, files: Mapping[str, Mapping[str, Any]], path: str) -> tuple[str, str | None]:
    """SHA-256 of one image and what is wrong with it."""
    entry = files.get(path)
    try:
        size = (root / path).stat().st_size
        if entry is not None and size != entry["size"]:
            return "", f"{path}: has {size} bytes, the manifest says {entry['size']}; run `fetch` again"
        decode(root / path, 3)
        return entry["sha256"] if entry is not None else sha256_file(root / path), None
    except OSError as error:
        return "", f"{path}: {error.strerror or error}"
    except DataError as error:
        return "", str(error).replace(str(root / path), path)


def _duplicates(table: pd.DataFrame) -> list[str]:
    first: dict[str, int] = {}
    problems = []
    for row, image_id in table["image_id"].items():
        if first.setdefault(image_id, row) != row:
            problems.append(f"row {row}: image id {image_id!r} is already in row {first[image_id]}")
    return problems


def _empty_classes(labels: pd.Series, class_names: Sequence[str]) -> list[str]:
    there = set(labels)
    problems = [f"no image of class {name!r}" for i, name in enumerate(class_names) if i not in there]
    unknown = sorted(label for label in there if not 0 <= label < len(class_names))
    return problems + [f"class index {label} is not one of 0..{len(class_names) - 1}" for label in unknown]
