"""Any table of images, or folders without one: rows chosen, labelled, found on disk, and made canonical."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

import pandas as pd

from meddiff.config.schema.data.classes import ClassConfig
from meddiff.config.schema.data.layout import Format, PlacesBase, TableFormat
from meddiff.config.schema.data.split import ColumnSplit, Split
from meddiff.data.decoding.images import without_ending
from meddiff.data.flow import Flow
from meddiff.data.groups import group_names
from meddiff.data.layouts import files as image_files
from meddiff.data.layouts.canonical import KEY, SPLIT, Rows
from meddiff.data.layouts.cells import check_columns, column, image_names, read_cells
from meddiff.data.layouts.conditions import described, holds
from meddiff.data.layouts.folder import ImageFolder
from meddiff.data.layouts.labels import OTHERS, most_frequent, read_labels
from meddiff.data.layouts.values import canonical_label, written
from meddiff.data.tables import raise_problems

log = logging.getLogger("meddiff")


def read_tabular(
    layout: PlacesBase,
    classes: Sequence[ClassConfig],
    split: Split | None,
    folder: ImageFolder,
    files: Collection[str],
) -> Rows:
    """Read a table or a listing of folders.

    Args:
        layout: what it says.
        classes: the classes and their values.
        split: where it is a column of the table, the canonical table gets a column ``split``.
        folder: the dataset's.
        files: canonical paths of the files in it.

    Raises:
        DataError: a table cannot be read, or a column is not there.
    """
    cells = read_cells(layout, folder, files)
    check_columns(cells, _named(layout), source_of(layout, folder))
    cells, parts, flow, problems = _chosen(layout, split, cells)
    found = read_labels(layout, classes, cells)
    problems += found.problems
    for reason in dict.fromkeys(found.left_out[found.left_out != ""]):
        number = int((found.left_out == reason).sum())
        flow = flow.then(reason, number)
        if reason == OTHERS:
            log.info("left out %d rows with %s: %s", number, reason, most_frequent(found.others))
    kept = found.index >= 0
    cells, label, parts = cells[kept], found.index[kept], parts[kept]
    located = image_files.locate(image_names(cells, layout), folder, files)
    problems += located.problems
    missing = image_names(cells, layout)[located.missing]
    if len(missing) and layout.missing == "leave_out":
        said = image_files.advice(list(missing), len(cells), folder, files)
        log.warning("left out %d rows without an image: %s", len(missing), said)
        flow = flow.then("image not found", len(missing))
    keep = ~located.wrong & ~(located.missing & (layout.missing == "leave_out"))
    table = _canonical(layout, folder, cells[keep], located.path[keep], label[keep])
    if isinstance(split, ColumnSplit):
        table[SPLIT] = parts[keep]
    if layout.repeats == "merge":
        table, flow = _merged(table, layout, flow)
    if layout.keep == "first_per_group":
        keys = {name: table[f"{KEY}{name}"] for name in layout.groups}
        repeated = group_names(table["image_id"], keys).duplicated()
        table, flow = table[~repeated], flow.then("not the first of its group", int(repeated.sum()))
    return Rows(table, problems, flow, list(missing.items()))


def _chosen(
    layout: PlacesBase, split: Split | None, cells: pd.DataFrame
) -> tuple[pd.DataFrame, pd.Series, Flow, list[str]]:
    """The rows that count, the split of each where a column says it, what is left out, and problems."""
    flow, problems = Flow(len(cells)), []
    for condition in layout.where:
        fits, wrong = holds(cells, condition)
        problems += wrong
        flow, cells = flow.then(described(condition), int((~fits).sum())), cells[fits]
    parts = pd.Series("", index=cells.index, dtype=object)
    if isinstance(split, ColumnSplit):
        parts = _parts(cells, split)
        outside = parts == ""
        if outside.any():
            flow = flow.then(f"{split.column}: of no split", int(outside.sum()))
        cells, parts = cells[~outside], parts[~outside]
    return cells, parts, flow, problems


def _canonical(
    layout: PlacesBase, folder: ImageFolder, cells: pd.DataFrame, path: pd.Series, label: pd.Series
) -> pd.DataFrame:
    keys = {f"{KEY}{name}": column(cells, name, "format.group_column") for name in layout.groups}
    return pd.DataFrame({"image_id": _image_ids(path, layout, folder), "path": path, "label": label, **keys})


def source_of(layout: Format, folder: ImageFolder) -> str:
    """What the rows of a layout are read from, for messages."""
    return str(folder.table(layout.tables[0])) if layout.tables else str(folder.root)


def image_cells(layout: PlacesBase, folder: ImageFolder, files: Collection[str], name: str) -> pd.Series:
    """A column of the table by image id; an image of several rows is there several times.

    Raises:
        DataError: as `read_tabular`.
    """
    cells = read_cells(layout, folder, files)
    given = column(cells, name, "column")
    located = image_files.locate(image_names(cells, layout), folder, files)
    return given.set_axis(_image_ids(located.path, layout, folder))


def _named(layout: PlacesBase) -> list[str]:
    """The columns that every row is read from."""
    image = [layout.image_column] if isinstance(layout, TableFormat) else []
    label = [] if layout.label_column is None else [layout.label_column]
    return [*image, *(label if layout.one_hot is None else layout.one_hot.columns), *layout.groups]


def _image_ids(paths: pd.Series, layout: PlacesBase, folder: ImageFolder) -> pd.Series:
    """What images are called: by default their file's name, or their path where a folder is the label."""
    by_path = layout.kind == "folders" if layout.image_id is None else layout.image_id == "path"
    if not by_path:
        return paths.map(lambda path: without_ending(PurePosixPath(path).name))
    prefix = "" if str(folder.prefix) == "." else f"{folder.prefix}/"
    return paths.map(lambda path: without_ending(path.removeprefix(prefix)))


def _parts(cells: pd.DataFrame, split: ColumnSplit) -> pd.Series:
    """The split of each row, ``train``, ``valid`` or ``test``; blank for those of none.

    Raises:
        DataError: no row is of a split that the configuration names.
    """
    of_cell: dict[str, str] = {}
    for name in ("train", "valid", "test"):
        values = getattr(split, name)
        if isinstance(values, list):
            of_cell |= {text: name for value in values for text in written(value)}
    given = column(cells, split.column, "split.column")
    parts = given.map(canonical_label).map(of_cell).fillna("")
    there = ", ".join(repr(cell) for cell in given.value_counts().index[:10])
    empty = [f"no row has one of the cells of {name}" for name in set(of_cell.values()) - set(parts)]
    raise_problems(f"split.{split.column} (cells there are: {there})", sorted(empty))
    return parts


def _merged(table: pd.DataFrame, layout: PlacesBase, flow: Flow) -> tuple[pd.DataFrame, Flow]:
    """One row an image; of an image with rows of several classes none, if the layout says so.

    Raises:
        DataError: an image has rows of several classes, and the layout does not say that it is left out.
    """
    classes = table.groupby("image_id")["label"].nunique()
    mixed = table["image_id"].isin(classes.index[classes > 1])
    if mixed.any() and layout.several == "error":
        names = table.loc[mixed, "image_id"].unique()
        raise_problems(
            "format.repeats (`several: leave_out` leaves these images out)",
            [f"image {name!r}: has rows of several classes" for name in names],
        )
    if mixed.any():
        flow = flow.then("rows of images with labels of several classes", int(mixed.sum()))
    repeated = table[~mixed]["image_id"].duplicated()
    return table[~mixed][~repeated], flow.then("further rows of an image", int(repeated.sum()))
