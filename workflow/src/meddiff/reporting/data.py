"""Data and splits: how many images, what was left out and is shared, and what images look like."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meddiff.reporting.inline import data_uri
from meddiff.reporting.page import filled
from meddiff.reporting.part import PagePart

if TYPE_CHECKING:
    from meddiff.reporting.given import Given
    from meddiff.reporting.settings import ReportDataset

SPLITS = {"train": "Training", "valid": "Validation", "test": "Test"}
SAMPLES, SIDE, MOST_CLASSES, MOST_DATASETS = 6, 96, 12, 12
_SPLIT = "train"
_STEPS = {
    "found": "Images in the dataset's list",
    "left out": "Left out",
    "checked": "Opened and checked",
    "train": "Used for training",
    "valid": "Used for validation",
    "test": "Used for the test",
}


def data_part(given: Given) -> PagePart:
    """Each dataset with its numbers and, where its image store is here, some of its training images."""
    datasets = [
        {
            "title": dataset.title,
            "counts": _counts(given, dataset),
            "steps": _flow(given, dataset),
            "samples": _samples(dataset) if number < MOST_DATASETS else None,
        }
        for number, dataset in enumerate(given.settings.datasets)
    ]
    whole = ("tables/participants", "tables/flow", "tables/leaks")
    links = [one for one in given.tables if one.entry.name in whole]
    html = filled("data.html.j2", datasets=datasets, links=links, splits=SPLITS, side=SIDE)
    return PagePart("data", "Data and splits", html)


def _counts(given: Given, dataset: ReportDataset) -> list[tuple[str, list[str]]]:
    """Rows of the table of numbers: images, people, and images of each class, by split."""
    people = given.table("tables/participants")
    if people is None:
        return []
    here = people[people["dataset"] == dataset.name].fillna({"level": ""})
    by_key = here.set_index(["what", "level", "split"])["images"]
    wanted = [("Images", "images", ""), ("Patients or lesions", "groups", "")]
    wanted += [(f"Class {name}", "class", name) for name in dataset.classes]
    rows = []
    for title, what, level in wanted:
        numbers = [by_key.get((what, level, split)) for split in SPLITS]
        if any(number is not None for number in numbers):
            rows.append((title, ["–" if number is None else f"{int(number):,}" for number in numbers]))
    return rows


def _flow(given: Given, dataset: ReportDataset) -> list[tuple[str, int]]:
    """What was found, left out and used, from the table of the flow; steps without an image are left out."""
    table = given.table("tables/flow")
    if table is None:
        return []
    here = table[table["dataset"] == dataset.name].fillna({"reason": ""})
    return [
        (_STEPS.get(row.step, row.step) + (f": {row.reason}" if row.reason else ""), int(row.images))
        for row in here.itertuples()
        if row.images
    ]


def _samples(dataset: ReportDataset) -> list[dict[str, Any]] | None:
    """Some training images of each class, evenly through the split; None where its store is not here.

    Raises:
        DataError: if the store is damaged.
    """
    from meddiff.data.stores.store_files import open_images, read_index, read_manifest

    folder = Path(dataset.store)
    if not all((folder / name).is_file() for name in ("manifest.json", "index.parquet", f"{_SPLIT}.npy")):
        return None
    manifest = read_manifest(folder, _SPLIT)
    index = read_index(folder, _SPLIT, manifest["splits"][_SPLIT])
    images = open_images(folder, _SPLIT, manifest)
    found = []
    for label, name in enumerate(dataset.classes[:MOST_CLASSES]):
        rows = index[index["label"] == label]
        evenly = np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows))).round().astype(int)
        pictures = [
            {"uri": _png(images[row.row]), "id": str(row.image_id), "name": name}
            for row in rows.iloc[evenly].itertuples()
        ]
        found.append({"name": name, "pictures": pictures})
    return found


def _png(image: np.ndarray) -> str:
    """An image, uint8 [H, W, C] of 1 or 3 channels, as an address with its content; large ones smaller."""
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if max(picture.size) > 2 * SIDE:
        picture.thumbnail((2 * SIDE, 2 * SIDE))
    stream = BytesIO()
    picture.save(stream, "png", optimize=True)
    return data_uri("image/png", stream.getvalue())
