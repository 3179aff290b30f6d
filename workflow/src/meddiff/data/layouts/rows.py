"""Read each dataset layout into one canonical table: image id, path, label, group."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from meddiff.config.dataset_slices import ValidateParams
from meddiff.config.schema.data.classes import ClassConfig
from meddiff.config.schema.data.layout import ArraysFormat, CheXpertFormat, Format, ISICFormat
from meddiff.config.schema.data.split import DRAWN
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.flow import Flow
from meddiff.data.layouts.arrays import array_rows
from meddiff.data.layouts.canonical import Rows, grouped
from meddiff.data.layouts.chexpert import balanced, read_chexpert
from meddiff.data.layouts.folder import ImageFolder
from meddiff.data.layouts.isic import read_isic
from meddiff.data.layouts.tabular import read_tabular, source_of
from meddiff.data.layouts.values import class_of_value
from meddiff.data.tables import SPLITS, raise_problems, read_csv


def read_table(dataset: DatasetConfig | ValidateParams, root: Path) -> pd.DataFrame:
    """Read the dataset's list into a canonical table.

    Args:
        dataset: its format, classes and split are used.
        root: the dataset's folder.

    Returns:
        Columns `image_id` (str), `path` (str, canonical: see `ImageFolder`), `label` (int64, position in
        `dataset.classes`), `group` (str: images that share a patient or lesion, at any remove; the image id
        where there is none: see `group_names`), and `split` where the dataset's own table says it. The index
        is ``row 3``, the header being row 1, or what else says where a row stands (`read_cells`).

    Raises:
        DataError: the list is missing or has no such column, or rows have unknown labels or impossible
            paths; it lists the first 20 of them.
    """
    folder = ImageFolder(root, dataset.format)
    rows = read_rows(dataset, folder, list(folder.walk()))
    raise_problems(source_of(dataset.format, folder), rows.problems)
    return rows.table


def read_rows(
    dataset: DatasetConfig | ValidateParams, folder: ImageFolder, files: Collection[str] = ()
) -> Rows:
    """As `read_table`, but leave out the rows with problems and return the problems beside the table.

    Args:
        dataset: its format, classes and split are used.
        folder: the dataset's.
        files: canonical paths of the files in it, among which a table's images are looked for.
    """
    layout = dataset.format
    if isinstance(layout, CheXpertFormat | ISICFormat):
        rows = _read(layout, dataset.classes, folder.table(layout.csv))
    elif isinstance(layout, ArraysFormat):
        known = class_of_value(dataset.classes)
        found, problems = array_rows(folder.table(layout.file), layout.tables[0], known)
        rows = Rows(found, problems, Flow(len(found) + len(problems)))
    else:
        rows = read_tabular(layout, dataset.classes, dataset.split, folder, files)
    table, flow = grouped(rows.table.astype({"label": "int64"}), source_of(layout, folder)), rows.flow
    # Given splits name their images; a draw here would throw some of them away.
    if isinstance(layout, CheXpertFormat) and isinstance(dataset.split, DRAWN):
        number, table = len(table), balanced(table, dataset.split.seed)
        flow = flow.then("drawn by lot, for classes of equal size", number - len(table))
    return replace(rows, table=table, flow=flow)


def read_split_rows(
    layout: Format, classes: Sequence[ClassConfig], csv: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Read a published split file, which has the columns of the dataset's CSV, row by row.

    Returns:
        The canonical table with all rows in their order, and a problem for each row that had to be left out.
    """
    table, problems = _read_all_rows(layout, classes, csv)
    return grouped(table, str(csv)), problems


def read_published(
    layout: Format, classes: Sequence[ClassConfig], folder: Path
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Read the published ``{train,valid,test}.csv`` in `folder` with `read_split_rows`.

    Groups are made of all three together: an image of one file may connect two of another.

    Returns:
        Name -> canonical table, and a problem (beginning with the file's name) for each row left out.
    """
    tables, problems = [], []
    for name in SPLITS:
        table, wrong = _read_all_rows(layout, classes, folder / f"{name}.csv")
        tables.append(table)
        problems += [f"{name}.csv {text}" for text in wrong]
    joined = grouped(pd.concat(tables, keys=SPLITS, names=["split"]), str(folder))
    splits = joined.index.get_level_values("split")
    return {name: joined[splits == name].droplevel("split") for name in SPLITS}, problems


def _read_all_rows(
    layout: Format, classes: Sequence[ClassConfig], csv: Path
) -> tuple[pd.DataFrame, list[str]]:
    """As `_read`, where a row that the layout would leave out is a problem."""
    found = _read(layout, classes, csv)
    table, problems = found.table, found.problems
    if not problems:
        rows = [f"row {row}" for row in read_csv(csv).index]
        there = set(table.index)
        problems = [f"{row}: is no row of the kind that this dataset has" for row in rows if row not in there]
    return table, problems


def _read(layout: Format, classes: Sequence[ClassConfig], csv: Path) -> Rows:
    """Read a published list into `image_id, path, label` and a column for each kind of key of groups."""
    reader = read_chexpert if isinstance(layout, CheXpertFormat) else read_isic
    rows = reader(layout, classes, csv)
    return replace(rows, table=rows.table.astype({"label": "int64"}))
