"""The files of an image store, read and compared with the manifest that was written with them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd
from pyarrow import ArrowException

from meddiff.errors import DataError
from meddiff.format_version import KEY, as_of_today
from meddiff.io import read_json, sha256_file, sha256_json

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
INDEX = "index.parquet"

_REPAIR = "run `store` again"


def read_manifest(folder: Path, split: str) -> dict[str, Any]:
    """The manifest of a store that has `split`.

    Raises:
        DataError: if it is missing, damaged, of a newer meddiff, or has no such split.
    """
    path = folder / MANIFEST
    try:
        manifest = read_json(path)
        manifest = as_of_today(path, manifest[KEY], manifest, (), DataError, _REPAIR)
        known = ", ".join(manifest["splits"])
        if split not in manifest["splits"]:
            raise DataError(f"{path}: there is no split {split!r}; the splits are {known}")
        numbers = (manifest["splits"][split]["n"], manifest["size"], manifest["channels"])
        if any(type(number) is not int for number in numbers):
            raise TypeError(f"number of images, size and channels are {numbers}")
        [*manifest["class_names"], manifest["splits"][split]["sha256"]]
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file; run `store`") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: is no manifest of a store ({error!r}); {_REPAIR}") from error
    return manifest


def check_images(folder: Path, split: str) -> None:
    """Compare the images of a split with their checksum in the manifest; once a process.

    A flipped bit of an image is another image, and nothing else would show it. It takes about a second a GiB,
    beside the reading.

    Raises:
        DataError: if they are not those that were stored.
    """
    manifest = read_manifest(folder, split)
    compare_images(folder, split, open_images(folder, split, manifest), manifest)


def open_images(folder: Path, split: str, manifest: Mapping[str, Any]) -> np.memmap:
    """The images of a split, uint8 [N, H, W, C], mapped read-only.

    Raises:
        DataError: if the file cannot be opened, or does not fit the manifest.
    """
    path, size = folder / f"{split}.npy", manifest["size"]
    shape = (manifest["splits"][split]["n"], size, size, manifest["channels"])
    try:
        images = np.load(path, mmap_mode="r")
    except (OSError, ValueError, TokenError) as error:
        raise DataError(f"{path}: cannot be opened ({error}); {_REPAIR}") from error
    if images.shape != shape or images.dtype != np.uint8:
        found = f"{images.dtype} {list(images.shape)}"
        raise DataError(f"{path}: is {found}, the manifest says uint8 {list(shape)}; {_REPAIR}")
    return images


def compare_images(folder: Path, split: str, images: np.memmap, manifest: Mapping[str, Any]) -> None:
    """`check_images` of what is open."""
    path = folder / f"{split}.npy"
    # The file as it is now: whoever makes a store again replaces it.
    status = path.stat()
    found = _images_sha256(path, images.offset, (status.st_ino, status.st_size, status.st_mtime_ns))
    if found != manifest["splits"][split]["sha256"]:
        raise DataError(
            f"{path}: is damaged or was changed: its images have the SHA-256 {found}, the manifest says "
            f"{manifest['splits'][split]['sha256']}; {_REPAIR}"
        )


@cache
def _images_sha256(path: Path, offset: int, file: tuple[int, int, int]) -> str:
    """Checksum of the images behind a header of `offset` bytes; `file` tells one file from another."""
    return sha256_file(path, offset)


def read_index(folder: Path, split: str, described: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of a split in their order: `row, image_id, label, group`.

    Args:
        described: what the manifest says about the split.

    Raises:
        DataError: if the index cannot be read, or is not the one that was stored.
    """
    path = folder / INDEX
    try:
        index = pd.read_parquet(path)
        index = index[index["split"] == split].sort_values("row")
        rows, found = index["row"].tolist(), index_sha256(index)
    except (OSError, ValueError, TypeError, LookupError, RuntimeError, ArrowException) as error:
        raise DataError(f"{path}: cannot be read ({error}); {_REPAIR}") from error
    if rows != list(range(described["n"])):
        raise DataError(f"{path}: does not list rows 0..{described['n'] - 1} of {split}; {_REPAIR}")
    # Stores of earlier versions have no checksum of it.
    if found != described.get("index_sha256", found):
        raise DataError(
            f"{path}: is damaged or was changed: it does not list the {split} images as they were; {_REPAIR}"
        )
    return index


def index_sha256(rows: pd.DataFrame) -> str:
    """Of what is listed, and not of the file: another version of the library writes other bytes."""
    return sha256_json([rows[column].tolist() for column in ("image_id", "label", "group")])
