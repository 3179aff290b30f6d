"""The pictures of a dataset by canonical path, whatever holds them: files in a folder, or one of arrays."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from meddiff.config.schema.data.layout import ArraysFormat, Format
from meddiff.data.decoding.images import Picture, reading
from meddiff.data.layouts.array_file import ArrayFile
from meddiff.data.layouts.arrays import place_of
from meddiff.data.layouts.folder import ImageFolder
from meddiff.errors import DataError
from meddiff.io import regular_file, sha256_file


class DatasetImages(Protocol):
    """Pictures by canonical path, for several threads at once."""

    def file(self, path: str) -> Path:
        """The file on disk that has the picture, as messages name it."""
        ...

    def reading(self, path: str, least_side: int | None = None) -> AbstractContextManager[Picture]:
        """A picture, read completely (`images.reading`); DataError if it cannot be."""
        ...

    def sha256(self, path: str) -> str:
        """Checksum of what the picture is read from; DataError if that is not what `fetch` has listed."""
        ...


def images_of(
    root: Path, layout: Format | None, files: Mapping[str, Mapping[str, Any]] | None = None
) -> DatasetImages:
    """The pictures of a dataset.

    Args:
        root: the dataset's folder.
        layout: what lies where in it; without one, paths are relative to `root`.
        files: canonical path -> size and SHA-256, as `fetch` lists them; what is not in it is hashed.

    Raises:
        DataError: several folders could be meant, or a file of arrays cannot be used.
    """
    if isinstance(layout, ArraysFormat):
        return ArrayImages(root / layout.file, layout.file, files or {})
    return FileImages(ImageFolder(root, layout).file if layout else root.joinpath, files or {})


class FileImages:
    """One file a picture."""

    def __init__(self, locate: Callable[[str], Path], files: Mapping[str, Mapping[str, Any]]) -> None:
        self._locate, self._files = locate, files

    def file(self, path: str) -> Path:
        """The file of the picture."""
        return self._locate(path)

    def reading(self, path: str, least_side: int | None = None) -> AbstractContextManager[Picture]:
        """See `meddiff.data.decoding.images.reading`."""
        return reading(self._locate(path), least_side)

    def sha256(self, path: str) -> str:
        """Of the file; the listed one if it has the listed size."""
        entry, file = self._files.get(path), self._locate(path)
        size = regular_file(file).st_size
        return sha256_file(file) if entry is None else _listed(path, size, entry)


class ArrayImages:
    """All pictures in one ``.npz`` file."""

    def __init__(self, file: Path, canonical: str, files: Mapping[str, Mapping[str, Any]]) -> None:
        self._file, self._arrays, self._lock = file, ArrayFile(file), threading.Lock()
        if entry := files.get(canonical):
            _listed(canonical, regular_file(file).st_size, entry)

    def file(self, path: str) -> Path:
        """The file of all pictures."""
        return self._file

    def reading(self, path: str, least_side: int | None = None) -> AbstractContextManager[Picture]:
        """Grey or RGB, as the array has it."""
        return nullcontext(Picture(path, self._image(path), turned=False, deep_colour=False))

    def _image(self, path: str) -> Image.Image:
        part, row = place_of(path)
        if row >= self._arrays.shapes[part][0]:
            raise DataError(f"{path}: {self._file} has {self._arrays.shapes[part][0]} images in {part}")
        with self._lock:  # the first one reads the array
            pixels = self._arrays.image(part, row)
        return Image.fromarray(pixels)

    def sha256(self, path: str) -> str:
        """Of mode, size and pixels: the file is one for all."""
        image = self._image(path)
        return hashlib.sha256(f"{image.mode} {image.size} ".encode() + image.tobytes()).hexdigest()


def _listed(path: str, size: int, entry: Mapping[str, Any]) -> str:
    if size != entry["size"]:
        raise DataError(f"{path}: has {size} bytes, the manifest says {entry['size']}; run `fetch` again")
    return entry["sha256"]
