"""Find out what is wrong with a dataset before anything expensive starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.config.dataset_slices import ValidateParams
from meddiff.config.schema.data.split import OfficialSplit, is_published
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.decoding.checks import Checked, check_image, depth_problems
from meddiff.data.decoding.dataset_images import images_of
from meddiff.data.decoding.summary import conversion_problems, notes
from meddiff.data.flow import Flow
from meddiff.data.layouts.canonical import SPLIT, Rows
from meddiff.data.layouts.files import advice
from meddiff.data.layouts.folder import ImageFolder
from meddiff.data.layouts.rows import read_published, read_rows
from meddiff.data.layouts.tabular import source_of
from meddiff.data.leaks.looks import LOOK, PIXELS
from meddiff.data.tables import TABLE_COLUMNS, list_problems, raise_problems, shared_rows, write_csv
from meddiff.devices.cpus import thread_map
from meddiff.errors import DataError
from meddiff.progress import track

log = logging.getLogger("meddiff")

_HASHES = ("sha256", PIXELS, LOOK)


@dataclass(frozen=True)
class Validated:
    """A dataset without problems.

    Attributes:
        table: its canonical table.
        flow: the rows that it was made from.
    """

    table: pd.DataFrame
    flow: Flow


def validate_dataset(
    dataset: DatasetConfig | ValidateParams,
    root: Path,
    manifest: Mapping[str, Any],
    threads: int | None = None,
    official: Path | None = None,
    missing: Path | None = None,
) -> Validated:
    """Read the dataset's table, decode every image of it, and check what the table says.

    Args:
        dataset: its format, classes, split and what it says of pixels are used.
        root: the dataset's folder.
        manifest: ``{"files": {path: {"size": bytes, "sha256": hex}}}`` as `fetch` writes it.
        threads: for decoding; default all CPUs of this process.
        official: folder with the published ``{train,valid,test}.csv``; where the dataset's split is one of
            these, they are the table, and the dataset's own CSV is not needed.
        missing: CSV to write, with every row whose image is not there; none is written where all are.

    Returns:
        The table, with columns `image_id, path, label, group, sha256, pixels, look`, sorted by image id,
        index 0..n-1; and what was left out of it.

    Raises:
        DataError: one error that lists the first 20 problems and their rows: unknown labels, images
            that are missing, damaged or changed since `fetch`, duplicate ids, a class without images. Images
            that show nothing and identical ones with different labels are among them, too, but of published
            splits only a warning.
    """
    folder = ImageFolder(root, dataset.format)
    if isinstance(dataset.split, OfficialSplit):
        if official is None:
            raise DataError("split: official: the folder with the split files is missing; run `getsplits`")
        source, (table, problems) = official, official_rows(dataset, official)
        flow = Flow(len(table))  # all rows, or there are problems
    else:
        _tables_are_there(dataset, folder)
        source = source_of(dataset.format, folder)
        rows = read_rows(dataset, folder, manifest.get("files", {}))
        table, problems, flow = rows.table, list(rows.problems), rows.flow
        problems += _not_there(rows, folder, manifest)
        _list_missing(rows, missing)
    problems += _duplicates(table)
    check = partial(check_image, images_of(root, dataset.format, manifest.get("files")), dataset)
    results = thread_map(check, list(table["path"]), threads)
    checked = list(track(results, "checking images", total=len(table)))
    problems += [f"{where}: {c.problem}" for where, c in zip(table.index, checked, strict=True) if c.problem]
    table = table.assign(**{name: [getattr(c, name) for c in checked] for name in _HASHES})
    doubtful = _doubts(dataset, table, checked)
    if not is_published(dataset.split):
        problems += doubtful
    elif doubtful:
        log.warning("%s", list_problems(f"{source}: published splits are used as they are", doubtful))
    problems += depth_problems(table["path"].tolist(), checked)
    problems += _empty_classes(table["label"], [entry.name for entry in dataset.classes])
    _report(source, table, notes(dataset, checked))
    raise_problems(str(source), problems)
    columns = [*TABLE_COLUMNS, *_HASHES[1:], *[SPLIT] * (SPLIT in table)]
    return Validated(table[columns].sort_values("image_id", ignore_index=True), flow)


def official_rows(dataset: DatasetConfig | ValidateParams, folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The canonical rows of the published files in `folder`, and what is wrong with the others.

    The index names file and row, such as ``train.csv row 2``.
    """
    splits, problems = read_published(dataset.format, dataset.classes, folder)
    tables = [
        table.rename(index=lambda row, name=name: f"{name}.csv {row}") for name, table in splits.items()
    ]
    return pd.concat(tables), problems


def check_splits(
    splits: Mapping[str, pd.DataFrame],
    class_names: Sequence[str],
) -> None:
    """Check that splits share no image id and no group, and that each has images of every class.

    Args:
        splits: name -> table with `image_id`, `label` (class index) and `group`. Rows are named by
            position, the header of the file being row 1.
        class_names: names of the classes, in order of their index.

    Raises:
        DataError: an image id occurs twice; a group occurs in two splits; a split has no image of a class.
    """
    problems: list[str] = []
    for name, frame in splits.items():
        problems += [f"{name}: {text}" for text in _empty_classes(frame["label"], class_names)]
    problems += shared_rows(splits, lambda frame: frame["image_id"], "the same image", within=True)
    problems += shared_rows(splits, lambda frame: frame["group"], "the same group", within=False)
    raise_problems("splits", problems)


def _tables_are_there(dataset: DatasetConfig | ValidateParams, folder: ImageFolder) -> None:
    for name in dataset.format.tables:
        path = folder.table(name)
        if not path.is_file():
            others = sorted(file.name for place in {path.parent, folder.root} for file in place.glob("*.csv"))
            raise DataError(
                f"{path}: there is no such file (format); CSV files there: {', '.join(others) or 'none'}. "
                "Splits that are not published ones need the dataset's own labels"
            )


def _not_there(rows: Rows, folder: ImageFolder, manifest: Mapping[str, Any]) -> list[str]:
    """What to do about images of the table that are not there; the checks of single images name each."""
    paths = rows.table["path"].reindex([where for where, _ in rows.missing])
    lost = [name for (_, name), path in zip(rows.missing, paths, strict=True) if _is_lost(folder, path)]
    return [advice(lost, len(rows.table), folder, manifest.get("files", {}))] if lost else []


def _list_missing(rows: Rows, path: Path | None) -> None:
    """Write all rows whose image is not there, since messages have but the first of them."""
    if path is None:
        return
    path.unlink(missing_ok=True)
    if rows.missing:
        write_csv(pd.DataFrame(rows.missing, columns=["row", "image"]), path)
        log.warning("%s: has the %d rows whose image was not found", path, len(rows.missing))


def _is_lost(folder: ImageFolder, path: Any) -> bool:
    return isinstance(path, str) and not folder.file(path).is_file()


def _doubts(
    dataset: DatasetConfig | ValidateParams, table: pd.DataFrame, checked: Sequence[Checked]
) -> list[str]:
    """What is wrong with images that can be read, and what nobody can mend in published splits."""
    doubts = [f"{where}: {c.flaw}" for where, c in zip(table.index, checked, strict=True) if c.flaw]
    doubts += _contradictions(table, [entry.name for entry in dataset.classes])
    return doubts + conversion_problems(dataset, table["path"].tolist(), checked)


def _contradictions(table: pd.DataFrame, class_names: Sequence[str]) -> list[str]:
    """Describe each row whose pixels are those of an earlier row with another label."""
    first: dict[str, tuple[str, int]] = {}
    problems = []
    for where, pixels, label in zip(table.index, table[PIXELS], table["label"], strict=True):
        before, other = first.setdefault(pixels, (where, label))
        if pixels and other != label:
            labels = f"{class_names[other]!r} and {class_names[label]!r}"
            problems.append(
                f"{before} and {where}: identical images with the labels {labels}; keep the row that is right"
            )
    return problems


def _report(source: Path | str, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Say in the log what is no problem, but worth knowing; `lines` are of the images themselves."""
    for line in lines:
        log.info("%s: %s", source, line)
    copies = int(table[PIXELS].duplicated().sum())
    if copies:
        log.info("%s: %d images are copies of others; drawn splits keep copies together", source, copies)


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
