"""The stratum of every image of a dataset, as its ``audit:`` says: the groundwork of the shortcut audit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from meddiff.config.dataset_slices import StratifyParams
from meddiff.config.schema.audit import ALL_IMAGES, AuditConfig, ColumnValue, ImageIdValue, Stratum
from meddiff.config.schema.data.layout import CheXpertFormat, Format, PlacesBase
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.layouts.cells import column, read_text_table
from meddiff.data.layouts.folder import ImageFolder
from meddiff.data.layouts.tabular import image_cells, source_of
from meddiff.data.layouts.values import canonical_label
from meddiff.data.tables import raise_problems, read_table_csv
from meddiff.errors import ConfigError, DataError
from meddiff.io import sha256_file

STRATA_COLUMNS = ["image_id", "split", "label", "group", "stratum"]
BLANK = "(blank)"

_CHEXPERT_PATH = re.compile(r"(?:.*/)?(patient\d+/study\d+/[^/]+)\.\w+")


def stratify(
    dataset: DatasetConfig | StratifyParams,
    splits: Mapping[str, pd.DataFrame],
    root: Path,
    manifest: Mapping[str, Any],
) -> pd.DataFrame:
    """The stratum of each image of the three splits.

    Args:
        dataset: its `audit` and format are used.
        splits: name -> split table (`image_id, path, label, group`).
        root: the dataset's folder; read only where the audit names a column.
        manifest: as `fetch` writes it; a CSV that it lists must not have changed since.

    Returns:
        Columns `STRATA_COLUMNS`, in the order of the splits and their rows.

    Raises:
        ConfigError: the dataset has no `audit`.
        DataError: an image has no value, or a value no stratum; it lists the first 20 of them.
    """
    if dataset.audit is None:
        raise ConfigError("audit: the dataset's file does not have this key, which names its strata")
    audit = dataset.audit
    images = pd.concat([frame.assign(split=name) for name, frame in splits.items()], ignore_index=True)
    if isinstance(audit.value, ImageIdValue):
        value = _from_ids(images["image_id"], audit.value)
    else:
        value = column_values(images["image_id"], audit.value, dataset.format, root, manifest)
    stratum = _named(value.reindex(images["image_id"]), audit)
    table = images.assign(stratum=stratum)[STRATA_COLUMNS]
    there = sorted(set(table["stratum"]))
    if audit.subset is not None and audit.subset not in there:
        raise DataError(f"audit.subset: no image is in {audit.subset!r}; the strata are {there}")
    return table


def read_strata(path: Path) -> pd.DataFrame:
    """Read a table of strata as `stratify` makes it; `label` is int64, all others are strings."""
    return read_table_csv(path, STRATA_COLUMNS)


def _from_ids(ids: pd.Series, value: ImageIdValue) -> pd.Series:
    """Image id -> value."""
    pattern = re.compile(value.pattern)
    matches = {image_id: pattern.fullmatch(image_id) for image_id in ids}
    problems = [
        f"image id {name!r} does not match {value.pattern!r}" for name, m in matches.items() if m is None
    ]
    raise_problems("audit.value.pattern", problems)
    return pd.Series({name: m[1] or "" for name, m in matches.items() if m is not None}, dtype=object)


def column_values(
    ids: pd.Series,
    value: ColumnValue,
    layout: Format,
    root: Path,
    manifest: Mapping[str, Any],
    key: str = "audit.value",
) -> pd.Series:
    """Image id -> cell of a column; rows of other images are passed over.

    Args:
        ids: image ids.
        value: the column, and the file of the dataset's folder that has it.
        layout: says how images are named.
        root: the dataset's folder.
        manifest: as `fetch` writes it; a CSV that it lists must not have changed since.
        key: of the configuration that names the column, for messages.

    Raises:
        DataError: if file or column are missing, the file has changed, an image has no row, or rows differ.
    """
    folder = ImageFolder(root, layout)
    source, cells = _cells(value, layout, folder, manifest)
    wanted = set(ids)
    found: dict[str, tuple[str, str]] = {}
    problems = []
    for where, cell, text in cells:
        image_id = cell if cell in wanted else _image_id(cell, layout, of_format=value.csv is None)
        if image_id in wanted:
            first, before = found.setdefault(image_id, (where, text))
            if before != text:
                problems.append(
                    f"{where}: {value.column} of {image_id!r} is {text!r}, in {first} it is {before!r}"
                )
    problems += [f"no row of image {image_id!r}" for image_id in ids if image_id not in found]
    raise_problems(f"{source} ({key})", problems)
    return pd.Series({image_id: text for image_id, (_, text) in found.items()}, dtype=object)


def _cells(
    value: ColumnValue, layout: Format, folder: ImageFolder, manifest: Mapping[str, Any]
) -> tuple[str, Iterable[tuple[str, str, str]]]:
    """What a column is read from; and where each row stands, its image, and its cell."""
    recorded = manifest.get("files", {})
    read = [value.csv] if value.csv is not None else layout.tables
    for name in read:
        path = folder.file(name) if value.csv is not None else folder.table(name)
        if name in recorded and sha256_file(path) != recorded[name]["sha256"]:
            raise DataError(f"{path}: has changed since it was recorded in raw.json; start Snakemake again")
    if value.csv is None and isinstance(layout, PlacesBase):
        cells = image_cells(layout, folder, recorded, value.column)
        return source_of(layout, folder), ((image_id, image_id, text) for image_id, text in cells.items())
    path = folder.file(value.csv) if value.csv is not None else folder.table(layout.csv)
    id_column = value.id_column or ("Path" if isinstance(layout, CheXpertFormat) else "image_name")
    rows = read_text_table(path)
    for name in (id_column, value.column):
        column(rows, name, str(path))
    named = zip(rows.index, rows[id_column], rows[value.column], strict=True)
    return str(path), ((f"row {row}", cell, text) for row, cell, text in named)


def _image_id(cell: str, layout: Format, of_format: bool) -> str:
    """The image id that a format makes of a file name."""
    if of_format and isinstance(layout, CheXpertFormat):
        match = _CHEXPERT_PATH.fullmatch(cell)
        return match[1].replace("/", "_") if match else cell
    return PurePosixPath(cell).stem


def _named(value: pd.Series, audit: AuditConfig) -> list[str]:
    """The stratum of each image, in the order of `value`."""
    names, problems = [], []
    for image_id, text in value.items():
        name = _stratum(text, audit.strata) if audit.strata else (text or BLANK)
        if name is None or (name == ALL_IMAGES and not audit.strata):
            reason = "fits none of audit.strata" if audit.strata else "needs a name under audit.strata"
            problems.append(f"image {image_id!r}: value {text!r} {reason}")
        names.append(name or "")
    raise_problems(f"audit ({audit.title})", problems)
    return names


def _stratum(text: str, strata: list[Stratum]) -> str | None:
    """Name of the first stratum that fits; None where none does, or where a limit meets what is no number."""
    for stratum in strata:
        if stratum.below is not None:
            number = pd.to_numeric(text, errors="coerce")
            if pd.isna(number):  # must not end up in a stratum that takes the rest
                return None
            fits = bool(number < stratum.below)
        elif stratum.values is not None:
            fits = canonical_label(text) in {canonical_label(value) for value in stratum.values}
        else:
            fits = True
        if fits:
            return stratum.name
    return None
