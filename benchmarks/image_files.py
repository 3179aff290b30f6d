"""Image files that the benchmarks of training and loading read, and meddiff's store of the same images."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from meddiff.config.load import load_dataset
from meddiff.data.decoding.pixels import PixelFormat
from meddiff.data.phantom import generate
from meddiff.data.stores.build import build_store
from meddiff.data.stores.store import Store
from meddiff.data.tables import SPLITS

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("MEDDIFF_ROOT_NIH_CXR") or ROOT.parent / "shared" / "real" / "nih-cxr")


@dataclass(frozen=True)
class Images:
    """Grey images of two classes, twice.

    Attributes:
        source: what they are.
        files: image files.
        labels: class index of each file.
        store: the same images in the same order, decoded and resized.
    """

    source: str
    files: list[Path]
    labels: list[int]
    store: Store


def real_images(folder: Path, count: int, size: int) -> Images:
    """The first real X-rays (256 px files), or phantoms of that size where they are not on this machine.

    Args:
        folder: an empty folder for what is made.
        count: number of images.
        size: side in pixels of the stored images.
    """
    if not REAL.is_dir():
        return phantom_images(folder, count, size, native_size=256)
    table = pd.read_csv(REAL / "labels.csv").head(count)
    files = [REAL / "images" / name for name in table["image"]]
    return _with_store("NIH chest X-rays", files, table["pneumonia"].tolist(), folder, size)


def phantom_images(folder: Path, count: int, size: int, native_size: int | None = None) -> Images:
    """The first images of the chest phantom of the demo.

    Args:
        folder, count, size: as in `real_images`.
        native_size: height of the files in pixels; the demo's where not given.
    """
    dataset = load_dataset("phantom_chest", ROOT / "config")
    changes = {"images": count} | ({"native_size": native_size} if native_size else {})
    generate(dataset.source.model_copy(update=changes), dataset.format, folder / "phantom")
    table = pd.read_csv(folder / "phantom" / "phantom.csv")
    files = [folder / "phantom" / path for path in table["path"]]
    name = f"chest phantom, files of {native_size or dataset.source.native_size} px"
    return _with_store(name, files, table["label"].tolist(), folder, size)


def _with_store(source: str, files: list[Path], labels: list[int], folder: Path, size: int) -> Images:
    (folder / "splits").mkdir(parents=True)
    names = [path.relative_to(files[0].anchor).as_posix().replace("/", "-") for path in files]
    table = pd.DataFrame({"image_id": names, "path": files, "label": labels, "group": names})
    for split in SPLITS:  # every split must have rows of its own; only the first is used
        rows = table
        if split != SPLITS[0]:
            copied = shutil.copy(files[0], folder / f"{split}{files[0].suffix}")
            rows = table.head(1).assign(image_id=split, group=split, path=copied)
        rows.to_csv(folder / "splits" / f"{split}.csv", index=False)
    build_store(
        folder / "splits",
        Path("/"),
        folder / "store",
        PixelFormat(size, 1),
        ["negative", "positive"],
        threads=1,
    )
    return Images(source, files, labels, Store.open(folder / "store", SPLITS[0]))
