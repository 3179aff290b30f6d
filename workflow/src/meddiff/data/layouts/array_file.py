"""Images and labels in one ``.npz`` file, as MedMNIST ships them, read without trust in the file."""

from __future__ import annotations

import math
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from meddiff.errors import DataError, DiskError
from meddiff.io import regular_file

PARTS = ("train", "val", "test")

# The largest of MedMNIST's (PathMNIST of 224 px) has 13.5 GB of images for training.
_LARGEST_BYTES = 1 << 36
# Larger arrays are unpacked into a temporary file and mapped: memory stays flat.
_IN_MEMORY_BYTES = 1 << 28
_LARGEST_HEADER = 10_000
_BLOCK = 1 << 20
_COLOURS = 3


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int  # of the data in the member


class ArrayFile:
    """Images and labels of an ``.npz`` file; images are read when first asked for, once.

    Attributes:
        path: the file.
        shapes: part -> shape of its images, [N, H, W] (grey) or [N, H, W, 3] (colour).
    """

    def __init__(self, path: Path) -> None:
        """Open the file and check what its arrays are, before any is read.

        Raises:
            DataError: it is no `.npz` file, an array is missing or is not what images or labels of one class
                each are, or says sizes that it does not have.
        """
        self.path = path
        self._images: dict[str, np.ndarray] = {}
        try:
            regular_file(path)
            with zipfile.ZipFile(path) as archive:
                self._headers = {name: self._header(archive, name) for name in _members()}
        except FileNotFoundError as error:
            raise DataError(f"{path}: there is no such file (format.file)") from error
        except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            raise DataError(
                f"{path}: cannot be read as an .npz file ({error}); download it again, and compare its "
                "checksum with the one that its owners publish"
            ) from error
        for part in PARTS:
            self._check(part)
        self.shapes = {part: self._headers[f"{part}_images"].shape for part in PARTS}

    def labels(self, part: str) -> np.ndarray:
        """int64 [N], the labels of ``train``, ``val`` or ``test`` as the file has them.

        Raises:
            DataError: if they cannot be read.
        """
        return self._read(f"{part}_labels").reshape(-1).astype(np.int64)

    def image(self, part: str, row: int) -> np.ndarray:
        """uint8 [H, W] or [H, W, 3], one image of ``train``, ``val`` or ``test``. Not for several threads.

        Raises:
            DataError: if it cannot be read.
            DiskError: if there is no room to unpack a large file.
        """
        if part not in self._images:
            self._images[part] = self._read(f"{part}_images")
        return self._images[part][row]

    def _header(self, archive: zipfile.ZipFile, name: str) -> _Header:
        """What an array is, by its header, compared with the size that the archive says."""
        try:
            member = archive.getinfo(f"{name}.npy")
        except KeyError as error:
            there = ", ".join(sorted(Path(n).stem for n in archive.namelist())[:10]) or "none"
            raise DataError(
                f"{self.path}: has no array {name}; expected {', '.join(_members())} as MedMNIST has them. "
                f"The arrays there are: {there}"
            ) from error
        with archive.open(member) as stream:
            try:
                version = np.lib.format.read_magic(stream)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }
                shape, fortran, dtype = read[version](stream, max_header_size=_LARGEST_HEADER)
            except (ValueError, KeyError) as error:
                raise DataError(f"{self.path}: {name} is no array of NumPy's ({error})") from error
            offset = stream.tell()
        if dtype.hasobject:
            raise DataError(
                f"{self.path}: {name} holds Python objects, which are not read: they can run programs"
            )
        if fortran and len(shape) > 1:
            raise DataError(
                f"{self.path}: {name} is stored column by column; save np.ascontiguousarray of it instead"
            )
        expected = offset + math.prod(shape) * dtype.itemsize
        if member.file_size != expected or expected > _LARGEST_BYTES:
            raise DataError(
                f"{self.path}: {name} says {list(shape)} of {dtype}, {expected} bytes, and the archive has "
                f"{member.file_size} bytes of it; expected equal numbers of {_LARGEST_BYTES} at most"
            )
        return _Header(shape, dtype, offset)

    def _check(self, part: str) -> None:
        """Refuse what are not pictures with one label each."""
        images, labels = self._headers[f"{part}_images"], self._headers[f"{part}_labels"]
        shape = images.shape
        if len(shape) > 4 or (len(shape) == 4 and shape[3] != _COLOURS):
            raise DataError(
                f"{self.path}: {part}_images is {list(shape)}: volumes (3D), as of OrganMNIST3D, are no "
                "pictures; expected [N, height, width] or [N, height, width, 3]. Save the slices meant"
            )
        if len(shape) < 3 or not all(shape) or images.dtype != np.uint8:
            raise DataError(
                f"{self.path}: {part}_images is {images.dtype} {list(shape)}; expected uint8 [N, height, "
                "width] or [N, height, width, 3], with values from 0 to 255"
            )
        if len(labels.shape) == 2 and labels.shape[1] > 1:
            raise DataError(
                f"{self.path}: {part}_labels has {labels.shape[1]} labels an image (multi-label, as "
                "ChestMNIST): an image may have several classes or none, and these models tell apart classes "
                "of which it has exactly one. Save a file with one label an image, such as one finding or not"
            )
        if labels.dtype.kind not in "ui" or labels.shape not in ((shape[0],), (shape[0], 1)):
            raise DataError(
                f"{self.path}: {part}_labels is {labels.dtype} {list(labels.shape)}; expected whole numbers "
                f"[{shape[0]}, 1], one an image of {part}_images"
            )

    def _read(self, name: str) -> np.ndarray:
        """An array, from memory or mapped from a temporary file that goes with this process."""
        header = self._headers[name]
        size = math.prod(header.shape) * header.dtype.itemsize
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as stream:
                stream.read(header.offset)
                if size <= _IN_MEMORY_BYTES:
                    content = np.frombuffer(stream.read(), header.dtype)
                else:
                    content = self._unpacked(stream, header.dtype)
                return content.reshape(header.shape)
        except DiskError:
            raise
        except (OSError, zipfile.BadZipFile, zlib.error, ValueError) as error:
            raise DataError(
                f"{self.path}: {name} cannot be read ({error}); the file is damaged: download it again"
            ) from error

    def _unpacked(self, stream: IO[bytes], dtype: np.dtype) -> np.ndarray:
        try:
            with tempfile.TemporaryFile() as temporary:
                while block := stream.read(_BLOCK):
                    temporary.write(block)
                temporary.flush()
                return np.memmap(temporary, dtype, mode="r")
        except OSError as error:
            raise DiskError(
                f"{tempfile.gettempdir()}: {self.path} cannot be unpacked there ({error}); name a "
                "folder with more room in TMPDIR"
            ) from error


def _members() -> list[str]:
    return [f"{part}_{what}" for part in PARTS for what in ("images", "labels")]
