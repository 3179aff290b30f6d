"""Arrays of images that are filled row by row, and are gone on with when the process was killed."""

from __future__ import annotations

import hashlib
import math
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from meddiff.io import allocate, disk_errors, write_at, write_text

# In the store's own folder: on the same disk, so that a finished array only has to be renamed.
FOLDER = ".partial"

_IDENTITY = "identity"
_MARK = 1 << 32  # tells a row whose checksum is zero from one that is not there
_ENTRY = np.dtype("<u8")

Shape = tuple[int, int, int, int]


class PartialArray:
    """A uint8 array [N, H, W, C] in a ``.npy`` file, of which some rows are there.

    A journal beside it has a number for each row: the CRC-32 of its bytes, and a mark. It is written after
    the row, and `missing` compares it with the row: after a crash of the machine either may be missing.

    Attributes:
        path: of the array.
    """

    def __init__(self, path: Path, shape: Shape) -> None:
        """Open what an earlier process left at `path`, or make an array without rows.

        Raises:
            DiskError: there is no space for all of it.
        """
        self.path, self._row_bytes, self._rows = path, math.prod(shape[1:]), shape[0]
        journal = _journal(path)
        for file in (path, journal):
            file.touch()
        # Not memory maps: on a full disk these end in a signal, which no message can follow.
        self._stream = open(path, "r+b", buffering=0)  # noqa: SIM115 (closed by `close`)
        self._journal = open(journal, "r+b", buffering=0)  # noqa: SIM115
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, header)
        self._start = self._stream.tell()
        allocate(self._stream.fileno(), self._start + self._rows * self._row_bytes)
        allocate(self._journal.fileno(), self._rows * _ENTRY.itemsize)

    def missing(self) -> np.ndarray:
        """Positions of the rows that are not there, int64, ascending."""
        self._journal.seek(0)
        entries = np.frombuffer(self._journal.read(), _ENTRY)
        self._stream.seek(self._start)
        there = np.zeros(self._rows, dtype=bool)
        last = int(np.flatnonzero(entries)[-1]) + 1 if entries.any() else 0
        for row in range(last):
            content = self._stream.read(self._row_bytes)
            there[row] = entries[row] == _entry(content)
        return np.flatnonzero(~there)

    def write(self, row: int, pixels: np.ndarray) -> None:
        """Write one row, uint8 [H, W, C]; threads may do so at once."""
        content = pixels.tobytes()
        write_at(self._stream.fileno(), content, self._start + row * self._row_bytes)
        entry = np.array(_entry(content), _ENTRY).tobytes()
        write_at(self._journal.fileno(), entry, row * _ENTRY.itemsize)

    def sha256(self) -> str:
        """Of all rows, without the header."""
        self._stream.seek(self._start)
        return hashlib.file_digest(self._stream, "sha256").hexdigest()

    def close(self) -> None:
        """Close the files."""
        self._stream.close()
        self._journal.close()


@contextmanager
def partial_arrays(
    out_dir: Path, shapes: Mapping[str, Shape], identity: str | None
) -> Iterator[dict[str, PartialArray]]:
    """Arrays that become ``<out_dir>/<name>.npy`` when the block succeeds, all at once.

    Space for all of them is taken first. What was written is kept in ``<out_dir>/.partial`` if the block
    fails or the process ends, and is there again in the next call with the same identity.

    Args:
        out_dir: folder of the arrays.
        shapes: name -> shape.
        identity: of all that decides what is in the arrays; what another one has left is removed. None where
            that is not known: then nothing is kept.

    Raises:
        DiskError: there is no space for them; then nothing new is left.
    """
    folder = out_dir / FOLDER
    kept = identity is not None and _identity(folder) == identity
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)
    arrays: dict[str, PartialArray] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, shape in shapes.items():
            with disk_errors(out_dir / f"{name}.npy"):
                arrays[name] = PartialArray(folder / f"{name}.npy", shape)
        if identity is not None:
            write_text(folder / _IDENTITY, identity)
            kept = True
        yield arrays
        for name, array in arrays.items():
            array.path.replace(out_dir / f"{name}.npy")
        kept = False
    finally:
        for array in arrays.values():
            array.close()
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _journal(path: Path) -> Path:
    return path.with_suffix(".journal")


def _identity(folder: Path) -> str | None:
    try:
        return (folder / _IDENTITY).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _entry(content: bytes) -> int:
    return zlib.crc32(content) | _MARK
