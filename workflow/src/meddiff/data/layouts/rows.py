"""Read each dataset layout into one canonical table: image id, path, label, group."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from meddiff.config.dataset_slices import ValidateParams
from meddiff.config.schema.data.classes import ClassConfig, Label
from meddiff.config.schema.data.layout import ArraysFormat, CheXpertFormat, Format, ISICFormat, TableFormat
from meddiff.config.schema.data.split import RecipeSplit
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.flow import Flow
from meddiff.data.groups import group_names, is_missing
from meddiff.data.layouts.arrays import array_rows
from meddiff.data.layouts.folder import ImageFolder
from meddiff.data.tables import SPLIT_COLUMNS, SPLITS, raise_problems, read_csv
from meddiff.errors import DataError

_CHEXPERT_FILM = re.compile(r"(?:.*/)?train/(patient\d+)/study1/view1_frontal\.jpg")
_INTEGER = re.compile(r"(-?(?:0|[1-9]\d*))(?:\.0*)?")
_KEY = "key "  # before the kind of a key that images may share, in the name of its column

log = logging.getLogger("meddiff")


def read_table(dataset: DatasetConfig | ValidateParams, root: Path) -> pd.DataFrame:
    """Read the dataset's CSV into a canonical table.

    Args:
        dataset: its format, classes and split are used.
        root: the dataset's folder.

    Returns:
        Columns `image_id` (str), `path` (str, canonical: see `ImageFolder`), `label` (int64, position in
        `dataset.classes`), `group` (str: images that share a patient or lesion, at any remove; the image id
        where there is none: see `group_names`). The index is the row of the CSV, its header being row 1.

    Raises:
        DataError: the CSV is missing or has no such column, or rows have unknown labels or impossible
            paths; it lists the first 20 of them.
    """
    csv = ImageFolder(root, dataset.format).csv()
    rows = read_rows(dataset, csv)
    raise_problems(str(csv), rows.problems)
    return rows.table


@dataclass(frozen=True)
class Rows:
    """The rows of a CSV.

    Attributes:
        table: the canonical table.
        problems: one for each row that has one, and is not in the table.
        flow: rows of the file and those that a layout leaves out; it is right where there are no problems.
    """

    table: pd.DataFrame
    problems: list[str]
    flow: Flow


def read_rows(dataset: DatasetConfig | ValidateParams, csv: Path) -> Rows:
    """As `read_table`, but leave out the rows with problems and return the problems beside the table."""
    rows = _read(dataset.format, dataset.classes, csv)
    table, flow = _grouped(rows.table, str(csv)), rows.flow
    # Given splits name their images; a draw here would throw some of them away.
    if isinstance(dataset.format, CheXpertFormat) and isinstance(dataset.split, RecipeSplit):
        number, table = len(table), _balance(table, dataset.split.seed)
        flow = flow.then("drawn by lot, for classes of equal size", number - len(table))
    return Rows(table, rows.problems, flow)


def read_split_rows(
    layout: Format, classes: Sequence[ClassConfig], csv: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Read a published split file, which has the columns of the dataset's CSV, row by row.

    Returns:
        The canonical table with all rows in their order, and a problem for each row that had to be left out.
    """
    table, problems = _read_all_rows(layout, classes, csv)
    return _grouped(table, str(csv)), problems


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
    joined = _grouped(pd.concat(tables, keys=SPLITS, names=["split"]), str(folder))
    splits = joined.index.get_level_values("split")
    return {name: joined[splits == name].droplevel("split") for name in SPLITS}, problems


def _read_all_rows(
    layout: Format, classes: Sequence[ClassConfig], csv: Path
) -> tuple[pd.DataFrame, list[str]]:
    """As `_read`, where a row that the layout would leave out is a problem."""
    found = _read(layout, classes, csv)
    table, problems = found.table, found.problems
    if not problems:
        rows = read_csv(csv).index
        problems = [
            f"row {row}: is no row of the kind that this dataset has" for row in rows.difference(table.index)
        ]
    return table, problems


def canonical_label(value: Label) -> str:
    """The string by which label values are compared: trimmed, and 1, "1" and "1.0" are the same."""
    text = str(value).strip()
    match = _INTEGER.fullmatch(text)
    return str(int(match[1])) if match else text


def _read(layout: Format, classes: Sequence[ClassConfig], csv: Path) -> Rows:
    """Read a CSV into `image_id, path, label` and a column for each kind of key (`_KEY`) of groups."""
    if isinstance(layout, CheXpertFormat):
        rows = _chexpert(layout, classes, csv)
    elif isinstance(layout, ISICFormat):
        rows = _isic(layout, classes, csv)
    elif isinstance(layout, ArraysFormat):
        table, problems = array_rows(csv, PurePosixPath(layout.file).as_posix(), _known(classes))
        rows = Rows(table, problems, Flow(len(table) + len(problems)))
    else:
        rows = _table(layout, classes, csv)
    return replace(rows, table=rows.table.astype({"label": "int64"}))


def _grouped(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Make one column `group` of the columns with keys, and say in the log what groups there are."""
    keys = {name.removeprefix(_KEY): table[name] for name in table if name.startswith(_KEY)}
    group = group_names(table["image_id"], keys)
    if keys and len(table):
        alone = pd.concat({kind: is_missing(cells) for kind, cells in keys.items()}, axis=1).all(axis=1).sum()
        sizes = group.value_counts()
        log.info(
            "%s: %d images in %d groups, the largest of %d (%s); %d images have no %s: each is its own group",
            source, len(table), len(sizes), sizes.iloc[0], sizes.index[0], alone, " or ".join(keys),
        )  # fmt: skip
    return table.assign(group=group)[SPLIT_COLUMNS]


def _chexpert(layout: CheXpertFormat, classes: Sequence[ClassConfig], csv: Path) -> Rows:
    """Keep first frontal films with positive XOR negative; blanks are 0, uncertain (-1) rows go."""
    known = _known(classes)
    if set(known) != {"0", "1"}:
        raise DataError(
            f"{layout.csv}: classes have values {', '.join(known)}; the chexpert format has 1 for "
            f"{layout.positive} and 0 for {layout.negative}: use exactly these two"
        )
    rows = read_csv(csv, ["Path", layout.positive, layout.negative])
    patient = rows["Path"].map(lambda path: m[1] if (m := _CHEXPERT_FILM.fullmatch(path)) else None)
    flow = Flow(len(rows)).then("not the frontal film of a first study", int(patient.isna().sum()))
    rows, patient = rows[patient.notna()], patient.dropna()
    cells = rows[[layout.positive, layout.negative]].replace("", "0").map(canonical_label)
    bad = ~cells.isin(["0", "1", "-1"]).all(axis=1)
    bad_path = rows["Path"].map(lambda path: _leads_out(path) or "\0" in path).astype(bool)
    problems = [
        f"row {row}: {rows.at[row, 'Path']!r} is no path below the dataset's folder"
        for row in rows.index[bad_path]
    ]
    problems += [
        f"row {row}: {layout.positive}={rows.at[row, layout.positive]!r}, "
        f"{layout.negative}={rows.at[row, layout.negative]!r}; known values are 1, 0, -1 and blank"
        for row in rows.index[bad]
    ]
    positive, negative = cells[layout.positive] == "1", cells[layout.negative] == "1"
    unsure, either = (cells == "-1").any(axis=1), positive ^ negative
    labels = f"{layout.positive} and {layout.negative}"
    flow = flow.then(f"{labels}: one of them uncertain", int(unsure.sum()))
    flow = flow.then(f"{labels}: neither or both", int((~unsure & ~either).sum()))
    keep = ~bad_path & ~bad & ~unsure & either
    rows, patient, label = rows[keep], patient[keep], positive[keep]
    # The first component names the archive, which is the folder of the CSV.
    folder = PurePosixPath(layout.csv).parent
    path = rows["Path"].map(lambda name: str(folder.joinpath(*PurePosixPath(name).parts[1:])))
    table = pd.DataFrame(
        {
            "image_id": patient + "_study1_view1_frontal",
            "path": path,
            "label": label.map({True: known["1"], False: known["0"]}),
            f"{_KEY}patient": patient,
        }
    )
    return Rows(table, problems, flow)


def _balance(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Keep equally many images of each label; a hash of id and seed draws, so row order has no part."""
    draw = table["image_id"].map(lambda name: hashlib.sha256(f"balance/{seed}/{name}".encode()).hexdigest())
    rank = draw.groupby(table["label"]).rank(method="first")
    size = table["label"].value_counts().min() if len(table) else 0
    return table[rank <= size]


def _isic(layout: ISICFormat, classes: Sequence[ClassConfig], csv: Path) -> Rows:
    rows = read_csv(csv, ["image_name", "target"])
    blank = pd.Series("", index=rows.index, dtype=object)
    columns = {"patient": "patient_id", "lesion": "lesion_id"}
    keys = {kind: rows.get(column, blank) for kind, column in columns.items()}
    file = rows["image_name"].where(rows["image_name"] == "", rows["image_name"] + ".jpg")
    return _labelled(layout.image_dir, file, rows["target"], keys, classes)


def _table(layout: TableFormat, classes: Sequence[ClassConfig], csv: Path) -> Rows:
    named = [layout.image_column, layout.label_column]
    rows = read_csv(csv, named + ([layout.group_column] if layout.group_column else []))
    keys = {layout.group_column: rows[layout.group_column]} if layout.group_column else {}
    return _labelled(layout.image_dir, rows[layout.image_column], rows[layout.label_column], keys, classes)


def _labelled(
    image_dir: str,
    file: pd.Series,
    value: pd.Series,
    keys: Mapping[str, pd.Series],
    classes: Sequence[ClassConfig],
) -> Rows:
    known = _known(classes)
    label = value.map(canonical_label).map(known)
    unusual, outside = file.str.contains("\0", regex=False).astype(bool), file.map(_leads_out).astype(bool)
    problems = [
        f"row {row}: unknown label {value[row]!r}; known are {', '.join(known)}"
        for row in file.index[label.isna()]
    ]
    problems += [f"row {row}: no image name" for row in file.index[file == ""]]
    problems += [
        f"row {row}: {file[row]!r} is outside the dataset's folder; expected a path relative to {image_dir!r}"
        for row in file.index[outside]
    ]
    problems += [f"row {row}: {file[row]!r} has a NUL, which no file name can" for row in file.index[unusual]]
    keep = label.notna() & (file != "") & ~outside & ~unusual
    file = file[keep]
    image_id = file.map(lambda name: PurePosixPath(name).stem)
    table = pd.DataFrame(
        {
            "image_id": image_id,
            "path": file.map(lambda name: str(PurePosixPath(image_dir) / name)),
            "label": label[keep],
            **{f"{_KEY}{kind}": cells[keep] for kind, cells in keys.items()},
        }
    )
    return Rows(table, problems, Flow(len(value)))


def _leads_out(path: str) -> bool:
    return path.startswith("/") or ".." in PurePosixPath(path).parts


def _known(classes: Sequence[ClassConfig]) -> dict[str, int]:
    return {canonical_label(entry.value): index for index, entry in enumerate(classes)}
