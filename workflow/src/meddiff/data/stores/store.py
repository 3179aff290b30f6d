"""Images decoded and resized once, in arrays that training and scoring map into memory.

Files in a store's folder: ``<split>.npy`` (uint8 [N,H,W,C]), ``index.parquet`` (`split, row, image_id,
label, group`), and ``manifest.json``, written last, with the checksums of all content.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from PIL import Image

from meddiff.config.schema.dataset import Format
from meddiff.data.folder import ImageFolder
from meddiff.data.images import decode, thread_map
from meddiff.data.stores.store_files import (
    FORMAT_VERSION,
    INDEX,
    MANIFEST,
    compare_images,
    index_sha256,
    open_images,
    read_index,
    read_manifest,
)
from meddiff.data.tables import SPLITS, raise_problems, read_splits
from meddiff.errors import DataError
from meddiff.io import allocate, atomic_path, sha256_file, write_at, write_json
from meddiff.progress import track

Geometry = Literal["squash", "crop"]


@dataclass(frozen=True)
class PixelFormat:
    """What images are made into: grey or RGB, then `size` x `size`.

    Attributes:
        size: side in pixels.
        channels: 1 grey, 3 RGB.
        geometry: see `resize`.
        bits: significant bits of 16-bit grey (`decode`).
    """

    size: int
    channels: Literal[1, 3]
    geometry: Geometry = "squash"
    bits: int = 16

    def of(self, path: Path) -> np.ndarray:
        """uint8 [size, size, channels] of an image file.

        Raises:
            DataError: if it cannot be read.
        """
        return resize(decode(path, self.channels, self.bits), self.size, self.geometry)


def build_store(
    splits_dir: Path,
    root: Path,
    out_dir: Path,
    pixels: PixelFormat,
    class_names: Sequence[str],
    threads: int | None = None,
    layout: Format | None = None,
) -> None:
    """Decode and resize the images of three splits into `out_dir`.

    Args:
        splits_dir: folder with ``{train,valid,test}.csv``.
        root: the dataset's folder.
        out_dir: the store; its manifest is written last.
        pixels: what images are made into.
        class_names: names in order of the class index.
        threads: default all CPUs of this process.
        layout: of the dataset's folder (`ImageFolder`); without one, paths are relative to `root`.

    Raises:
        DataError: a split file or an image cannot be read (it names file and row), or splits share images or
            groups.
        DiskError: the disk is too small.
    """
    splits = read_splits(splits_dir)
    locate = ImageFolder(root, layout).file if layout else root.joinpath
    size, channels = pixels.size, pixels.channels
    described: dict[str, dict[str, Any]] = {}
    for name, frame in splits.items():
        if frame.empty:
            raise DataError(f"{splits_dir / f'{name}.csv'}: has no rows; run `split` again")

        with atomic_path(out_dir / f"{name}.npy") as temporary:
            shape = (len(frame), size, size, channels)
            digest = _fill(temporary, name, frame, lambda path: pixels.of(locate(path)), shape, threads)
        described[name] = {
            "n": len(frame),
            "sha256": digest,
            "split_sha256": sha256_file(splits_dir / f"{name}.csv"),
            "index_sha256": index_sha256(frame),
        }
    with atomic_path(out_dir / INDEX) as temporary:
        _index(splits).to_parquet(temporary, index=False)
    manifest = {
        "format_version": FORMAT_VERSION,
        "size": size,
        "geometry": pixels.geometry,
        "channels": channels,
        "class_names": list(class_names),
        "splits": described,
    }
    write_json(out_dir / MANIFEST, manifest)


@dataclass(frozen=True)
class Store:
    """One split of a store, open for reading.

    Attributes:
        images: uint8 [N,H,W,C], mapped read-only.
        image_ids: N image ids.
        labels: int64 [N], class indices.
        groups: N patient or lesion ids.
        class_names: names in order of the class index.
        manifest: the store's manifest.
    """

    images: np.memmap
    image_ids: list[str]
    labels: np.ndarray
    groups: list[str]
    class_names: list[str]
    manifest: dict[str, Any]

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def num_classes(self) -> int:
        """How many classes the dataset has."""
        return len(self.class_names)

    @classmethod
    def open(cls, folder: str | os.PathLike[str], split: str, *, checked: bool = True) -> Store:
        """Open ``<folder>/<split>.npy`` and its part of the index.

        Args:
            folder: of the store.
            split: one of the manifest's.
            checked: whether to compare the images with their checksum (`check_images`): not where only their
                number, shape or ids are of interest.

        Raises:
            DataError: the store is missing or of another version, has no such split, or a file is damaged or
                does not fit the manifest.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, split)
        images = open_images(folder, split, manifest)
        if checked:
            compare_images(folder, split, images, manifest)
        index = read_index(folder, split, manifest["splits"][split])
        return cls(
            images=images,
            image_ids=index["image_id"].tolist(),
            labels=index["label"].to_numpy(np.int64, copy=True),
            groups=index["group"].tolist(),
            class_names=list(manifest["class_names"]),
            manifest=manifest,
        )


def resize(image: Image.Image, size: int, geometry: Geometry = "squash") -> np.ndarray:
    """Bring an image to uint8 [size,size,C] with Pillow's antialiased bilinear filter.

    Args:
        image: any size.
        size: side in pixels.
        geometry: ``squash`` does not keep the aspect ratio (torchvision's ``Resize((size, size))`` of a PIL
            image); ``crop`` keeps it and cuts the middle out (``Resize(size)``, then ``CenterCrop(size)``).
    """
    if geometry == "crop":
        short = min(image.size)
        scaled = [int(size * side / short) for side in image.size]
        left, top = (round((side - size) / 2) for side in scaled)
        image = image.resize(scaled, Image.Resampling.BILINEAR)
        pixels = np.asarray(image.crop((left, top, left + size, top + size)))
    else:
        pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _fill(
    path: Path,
    name: str,
    frame: pd.DataFrame,
    pixels: Callable[[str], np.ndarray],
    shape: tuple[int, int, int, int],
    threads: int | None,
) -> str:
    """Write one split's array to `path`; return the SHA-256 of its bytes without the header."""
    image_bytes = math.prod(shape[1:])
    # Not a memory map: on a full disk that ends in a signal, which no message can follow.
    with open(path, "r+b", buffering=0) as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        start = stream.tell()
        allocate(stream.fileno(), start + len(frame) * image_bytes)

        def convert(item: tuple[int, str]) -> str | None:
            row, relative = item
            try:
                write_at(stream.fileno(), pixels(relative).tobytes(), start + row * image_bytes)
            except DataError as error:
                return f"row {row + 2}: {error}"
            return None

        results = thread_map(convert, list(enumerate(frame["path"])), threads)
        problems = [text for text in track(results, f"storing {name}", total=len(frame)) if text]
        raise_problems(f"{name}.csv", problems)
        stream.seek(start)
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _index(splits: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    columns = ["image_id", "label", "group"]
    parts = [
        splits[name][columns].assign(split=name, row=np.arange(len(splits[name]), dtype=np.int64))
        for name in SPLITS
    ]
    return pd.concat(parts, ignore_index=True)[["split", "row", *columns]]
