"""Decode and resize every image of a dataset once, into a store."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meddiff.config.schema.data.layout import Format
from meddiff.data.decoding.dataset_images import DatasetImages, images_of
from meddiff.data.decoding.pictures import decoder_versions
from meddiff.data.decoding.pixels import PixelFormat
from meddiff.data.stores.partial import PartialArray, partial_arrays
from meddiff.data.stores.store_files import FORMAT_VERSION, INDEX, MANIFEST, index_sha256
from meddiff.data.tables import SPLITS, raise_problems, read_splits
from meddiff.devices.cpus import thread_map
from meddiff.errors import DataError
from meddiff.io import atomic_path, disk_errors, sha256_file, sha256_json, write_json
from meddiff.progress import track
from meddiff.provenance import code_hash

log = logging.getLogger("meddiff")


def build_store(
    splits_dir: Path,
    root: Path,
    out_dir: Path,
    pixels: PixelFormat,
    class_names: Sequence[str],
    threads: int | None = None,
    layout: Format | None = None,
    listing: Path | None = None,
) -> None:
    """Decode and resize the images of three splits into `out_dir`.

    Memory does not grow with the number of images. With a `listing`, what is decoded is kept if the process
    is killed or an image cannot be read (`partial_arrays`); the same call goes on, to the same bytes.

    Args:
        splits_dir: folder with ``{train,valid,test}.csv``.
        root: the dataset's folder.
        out_dir: the store; its manifest is written last.
        pixels: what images are made into.
        class_names: names in order of the class index.
        threads: default all CPUs of this process.
        layout: of the dataset's folder (`ImageFolder`); without one, paths are relative to `root`.
        listing: manifest of the dataset's folder, which says what the images are; where it has changed,
            what an earlier call has left of the store is not used.

    Raises:
        DataError: a split file or an image cannot be read (it names file and row), or splits share images or
            groups.
        DiskError: the disk is too small.
    """
    splits = _with_rows(splits_dir)
    images = images_of(root, layout)
    shapes = {name: (len(frame), pixels.size, pixels.size, pixels.channels) for name, frame in splits.items()}
    split_sha256 = {name: sha256_file(splits_dir / f"{name}.csv") for name in splits}
    identity = _identity(pixels, split_sha256, listing)
    described: dict[str, dict[str, Any]] = {}
    with partial_arrays(out_dir, shapes, identity) as arrays:
        for name, frame in splits.items():
            _fill(arrays[name], name, frame["path"].tolist(), partial(_pixels, images, pixels), threads)
            described[name] = {
                "n": len(frame),
                "sha256": arrays[name].sha256(),
                "split_sha256": split_sha256[name],
                "index_sha256": index_sha256(frame),
            }
    with atomic_path(out_dir / INDEX) as temporary:
        _index(splits).to_parquet(temporary, index=False)
    manifest = {
        "format_version": FORMAT_VERSION,
        "size": pixels.size,
        "geometry": pixels.geometry,
        "channels": pixels.channels,
        "class_names": list(class_names),
        "splits": described,
    }
    if pixels.decoding != "full":
        manifest["decoding"] = pixels.decoding
    write_json(out_dir / MANIFEST, manifest)


def _with_rows(splits_dir: Path) -> dict[str, pd.DataFrame]:
    splits = read_splits(splits_dir)
    for name, frame in splits.items():
        if frame.empty:
            raise DataError(f"{splits_dir / f'{name}.csv'}: has no rows; run `split` again")
    return splits


def _identity(pixels: PixelFormat, split_sha256: Mapping[str, str], listing: Path | None) -> str | None:
    """A checksum of all that decides what is in the arrays of a store; None without a listing."""
    if listing is None or not listing.is_file():
        return None
    rule = pixels.intensity
    made_of = {
        "pixels": dataclasses.asdict(pixels) | {"intensity": rule and rule.model_dump()},
        "splits": split_sha256,
        "listing": sha256_file(listing),
        "code": code_hash([__name__]),
        "decoders": decoder_versions(),
    }
    return sha256_json(made_of)


def _pixels(images: DatasetImages, pixels: PixelFormat, path: str) -> np.ndarray:
    with images.reading(path, pixels.least_side) as picture:
        return pixels.of(picture)


def _fill(
    array: PartialArray,
    name: str,
    paths: Sequence[str],
    pixels: Callable[[str], np.ndarray],
    threads: int | None,
) -> None:
    """Write the rows of one split that are not there yet."""
    rows = array.missing().tolist()
    if done := len(paths) - len(rows):
        log.info("%s: %d of %d images are there from an earlier run", name, done, len(paths))

    def convert(row: int) -> str | None:
        try:
            array.write(row, pixels(paths[row]))
        except DataError as error:
            return f"row {row + 2}: {error}"
        return None

    results = track(thread_map(convert, rows, threads), f"storing {name}", len(paths), done)
    with disk_errors(array.path):
        raise_problems(f"{name}.csv", [text for text in results if text])


def _index(splits: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    columns = ["image_id", "label", "group"]
    parts = [
        splits[name][columns].assign(split=name, row=np.arange(len(splits[name]), dtype=np.int64))
        for name in SPLITS
    ]
    return pd.concat(parts, ignore_index=True)[["split", "row", *columns]]
