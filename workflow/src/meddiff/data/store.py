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

from meddiff.config.dataset import Format
from meddiff.data.folder import ImageFolder
from meddiff.data.images import decode, thread_map
from meddiff.data.tables import SPLITS, raise_problems, read_splits
from meddiff.errors import DataError
from meddiff.io import allocate, atomic_path, read_json, sha256_file, write_at, write_json
from meddiff.progress import track

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
INDEX = "index.parquet"

Geometry = Literal["squash", "crop"]


def build_store(
    splits_dir: Path,
    root: Path,
    out_dir: Path,
    size: int,
    channels: Literal[1, 3],
    class_names: Sequence[str],
    threads: int | None = None,
    layout: Format | None = None,
    geometry: Geometry = "squash",
    bits: int = 16,
) -> None:
    """Decode and resize the images of three splits into `out_dir`.

    Images are converted to grey or RGB, then brought to `size` x `size` by `resize`.

    Args:
        splits_dir: folder with ``{train,valid,test}.csv``.
        root: the dataset's folder.
        out_dir: the store; its manifest is written last.
        size: side in pixels.
        channels: 1 grey, 3 RGB.
        class_names: names in order of the class index.
        threads: default all CPUs of this process.
        layout: of the dataset's folder (`ImageFolder`); without one, paths are relative to `root`.
        geometry: see `resize`.
        bits: significant bits of 16-bit grey (`decode`).

    Raises:
        DataError: a split file or an image cannot be read (it names file and row), or splits share images or
            groups.
        DiskError: the disk is too small.
    """
    splits = read_splits(splits_dir)
    locate = ImageFolder(root, layout).file if layout else root.joinpath

    def pixels(path: str) -> np.ndarray:
        return resize(decode(locate(path), channels, bits), size, geometry)

    described: dict[str, dict[str, Any]] = {}
    for name, frame in splits.items():
        if frame.empty:
            raise DataError(f"{splits_dir / f'{name}.csv'}: has no rows; run `split` again")

        with atomic_path(out_dir / f"{name}.npy") as temporary:
            digest = _fill(temporary, name, frame, pixels, (len(frame), size, size, channels), threads)
        described[name] = {
            "n": len(frame),
            "sha256": digest,
            "split_sha256": sha256_file(splits_dir / f"{name}.csv"),
        }
    with atomic_path(out_dir / INDEX) as temporary:
        _index(splits).to_parquet(temporary, index=False)
    manifest = {
        "format_version": FORMAT_VERSION,
        "size": size,
        "geometry": geometry,
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
    def open(cls, folder: str | os.PathLike[str], split: str) -> Store:
        """Open ``<folder>/<split>.npy`` and its part of the index.

        Raises:
            DataError: the store is missing or of another version, has no such split, or a file does not
                fit the manifest.
        """
        folder = Path(folder)
        manifest = _read_manifest(folder, split)
        count, size = manifest["splits"][split]["n"], manifest["size"]
        path, shape = folder / f"{split}.npy", (count, size, size, manifest["channels"])
        try:
            images = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be opened ({error}); run `store` again") from error
        if images.shape != shape or images.dtype != np.uint8:
            found = f"{images.dtype} {list(images.shape)}"
            raise DataError(f"{path}: is {found}, the manifest says uint8 {list(shape)}; run `store` again")
        try:
            index = pd.read_parquet(folder / INDEX)
        except (OSError, ValueError) as error:
            raise DataError(f"{folder / INDEX}: cannot be read ({error}); run `store` again") from error
        index = index[index["split"] == split].sort_values("row")
        if index["row"].tolist() != list(range(count)):
            raise DataError(
                f"{folder / INDEX}: does not list rows 0..{count - 1} of {split}; run `store` again"
            )
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


def _read_manifest(folder: Path, split: str) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = read_json(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file; run `store`") from error
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); run `store` again") from error
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(f"{path}: store format {version}, expected {FORMAT_VERSION}; run `store` again")
    if split not in manifest["splits"]:
        known = ", ".join(manifest["splits"])
        raise DataError(f"{path}: there is no split {split!r}; the splits are {known}")
    return manifest
