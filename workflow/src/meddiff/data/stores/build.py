"""Decode and resize every image of a dataset once, into a store."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meddiff.config.schema.data.layout import Format
from meddiff.data.decoding.dataset_images import images_of
from meddiff.data.decoding.pixels import PixelFormat
from meddiff.data.stores.store_files import FORMAT_VERSION, INDEX, MANIFEST, index_sha256
from meddiff.data.tables import SPLITS, raise_problems, read_splits
from meddiff.devices.cpus import thread_map
from meddiff.errors import DataError
from meddiff.io import allocate, atomic_path, sha256_file, write_at, write_json
from meddiff.progress import track


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
    images = images_of(root, layout)
    size, channels = pixels.size, pixels.channels
    described: dict[str, dict[str, Any]] = {}
    for name, frame in splits.items():
        if frame.empty:
            raise DataError(f"{splits_dir / f'{name}.csv'}: has no rows; run `split` again")

        with atomic_path(out_dir / f"{name}.npy") as temporary:
            shape = (len(frame), size, size, channels)
            digest = _fill(
                temporary, name, frame, lambda path: pixels.of(images.picture(path)), shape, threads
            )
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
