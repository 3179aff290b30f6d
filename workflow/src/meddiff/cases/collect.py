"""Collect the data of the case explorer: an index of all cases, sheets of thumbnails, and details in chunks.

Beside the index, which becomes a part of the page, a folder has what the page loads when it is looked at:
sheets ``<dataset>-<number>.webp``, and details ``<dataset>-<number>.js``. Datasets are numbered, and so are
images: ids may hold anything.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from meddiff.cases.details import Pictures, edited, scored_details, shares_of
from meddiff.cases.index import index_of, most_telling, read_decided
from meddiff.cases.pictures import SHEET_COLUMNS, SHEET_IMAGES, THUMB_SIDE, sheet
from meddiff.cases.settings import CaseSettings, ShownDataset
from meddiff.errors import DataError
from meddiff.io import atomic_path, read_json, sha256_file, write_text
from meddiff.text import script_safe_json

FORMAT_VERSION = 2
CHUNK_IMAGES = 20
# What a script of details calls; the page defines it.
_CALL = "meddiffDetails"


def collect_cases(settings: CaseSettings, index: Path, folder: Path) -> None:
    """Write the index, and the folder anew.

    The index has the checksums of all files of the folder, so that who reads it depends on these too.

    Raises:
        DataError: if a file that it is made from is damaged, or files do not belong together.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    datasets = [_collect(number, one, settings, folder) for number, one in enumerate(settings.datasets)]
    files = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
    content = {"format_version": FORMAT_VERSION, "chunk": CHUNK_IMAGES, "datasets": datasets, "files": files}
    write_text(index, script_safe_json(content) + "\n")


def read_index(path: Path) -> dict[str, Any]:
    """What `collect_cases` wrote.

    Raises:
        DataError: if it is no index of this version.
    """
    try:
        content = read_json(path)
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {content['format_version']}")
        [*content["datasets"], *content["files"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path}: is no index of cases ({error}); make it again with `meddiff cases`"
        ) from error
    return content


def _collect(number: int, dataset: ShownDataset, settings: CaseSettings, folder: Path) -> dict[str, Any]:
    """The index of one dataset, with its files in `folder`."""
    decided = read_decided(dataset)
    index = index_of(dataset, decided)
    ids = index["ids"]
    pictures = Pictures.of(dataset, ids)
    chosen = [int(at) for at in most_telling(decided, settings.most_details)]
    kept = set(chosen)
    some = [ids[at] for at in chosen]
    scored = [scored_details(one, some, dataset.classes) for one in dataset.scored] if some else []
    entries = [
        {
            "pictures": pictures.shown(ids[at]),
            "p": shares_of(decided, at),
            "scored": [of_model[place] for of_model in scored],
        }
        for place, at in enumerate(chosen)
    ]
    for first in range(0, len(chosen), CHUNK_IMAGES):
        part = dict(zip(chosen[first : first + CHUNK_IMAGES], entries[first:], strict=False))
        _write_details(folder / f"{number}-{first // CHUNK_IMAGES}.js", number, part)
    return index | {
        "sheets": _write_sheets(number, ids, pictures, folder),
        "details": "all" if len(chosen) == len(ids) else chosen,
        "scored": [
            one.model_dump(include={"model", "title", "size", "wavelet"})
            | {"edited": [at for at in edited(one, ids) if at in kept]}
            for one in dataset.scored
        ],
    }


def _write_details(path: Path, dataset: int, part: dict[int, dict[str, Any]]) -> None:
    """A script, since pages from a disk may load nothing else."""
    write_text(path, f"{_CALL}({dataset},{script_safe_json(part)});\n")


def details_of(path: Path) -> str:
    """The JSON in a script of details, which is safe inside a page."""
    return path.read_text(encoding="utf-8").partition(",")[2].rpartition(")")[0]


def _write_sheets(number: int, ids: list[str], pictures: Pictures, folder: Path) -> dict[str, Any] | None:
    """Thumbnails of all images; None where there are no pictures."""
    largest = pictures.largest
    if largest is None:
        return None
    side, names = min(largest, THUMB_SIDE), []
    for first in range(0, len(ids), SHEET_IMAGES):
        some = [pictures.pixels(largest, name) for name in ids[first : first + SHEET_IMAGES]]
        names.append(f"{number}-{first // SHEET_IMAGES}.webp")
        with atomic_path(folder / names[-1]) as path:
            path.write_bytes(sheet(some, side))
    channels = int(pictures.stores[largest].images.shape[-1])
    return {
        "files": names,
        "side": side,
        "columns": SHEET_COLUMNS,
        "images": SHEET_IMAGES,
        "channels": channels,
    }
