"""Sums of evidence maps on disk: what an interrupted scoring goes on from, and what its file is made of.

A save adds a file with the images completed since the last one, and replaces the file of those in work, so
that what is complete is written once. Files are numbered; of an image the last one counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from meddiff.errors import CheckpointError
from meddiff.io import atomic_path
from meddiff.sealed_file import damage, seal

_OPEN = "-open"
_FIELDS = ("row", "steps", "total")


class ImageSum(NamedTuple):
    """The sum of the maps of some steps of an image.

    Attributes:
        row: which image of its block.
        steps: bool [S], by number, whose maps are in it.
        total: [K - 1, H, W] their sum (`meddiff.diffusion.evidence`).
    """

    row: int
    steps: np.ndarray
    total: np.ndarray


@dataclass(frozen=True, eq=False)
class _File:
    path: Path
    records: np.ndarray

    @property
    def is_open(self) -> bool:
        return self.path.stem.endswith(_OPEN)


class PartialEvidence:
    """Sums of the maps of one block of images, on disk."""

    def __init__(self, path: Path) -> None:
        """Keep them in files whose names begin as `path`, which identifies what they are of.

        Raises:
            CheckpointError: if a file is damaged.
        """
        self._path = path
        self._files: list[_File] = []
        self._place: dict[int, tuple[_File, int]] = {}
        for found in sorted(path.parent.glob(f"{path.name}-*.npy")):
            self._take(_File(found, _read(found)))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._place)

    def steps(self, images: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Whether the map of a step is in the sum of an image, [I, S], and whether a later one's is, [I].

        Raises:
            CheckpointError: if there are more images.
        """
        within, beyond = np.zeros((images, steps), dtype=bool), np.zeros(images, dtype=bool)
        for row, (file, position) in self._place.items():
            if row >= images:
                raise CheckpointError(f"{file.path}: holds image {row} of {images}; {_REPAIR}")
            found = file.records["steps"][position]
            within[row, : len(found)], beyond[row] = found[:steps], found[steps:].any()
        return within, beyond

    def total(self, row: int) -> np.ndarray:
        """fp32 [K - 1, H, W] of an image that has one."""
        file, position = self._place[row]
        return np.array(file.records["total"][position])

    def rows(self) -> Iterator[int]:
        """The images that have a sum, file by file."""
        yield from sorted(self._place, key=lambda row: (_number(self._place[row][0].path), row))

    def save(self, complete: Sequence[ImageSum], in_work: Sequence[ImageSum]) -> None:
        """Add what is complete, and what there is of images in work; of others in work what was saved stays.

        Raises:
            CheckpointError: if it cannot be written.
        """
        if complete:
            self._write(complete, "")
        given = {one.row for one in in_work}
        kept = [row for row, (file, _) in self._place.items() if file.is_open and row not in given]
        if in_work:
            self._write([*in_work, *map(self._record, kept)], _OPEN)
        counting = {file for file, _ in self._place.values()}
        for file in set(self._files) - counting:
            file.path.unlink(missing_ok=True)
            self._files.remove(file)

    def _record(self, row: int) -> ImageSum:
        file, position = self._place[row]
        return ImageSum(row, file.records["steps"][position], self.total(row))

    def _write(self, sums: Sequence[ImageSum], kind: str) -> None:
        steps, shape = max(len(one.steps) for one in sums), sums[0].total.shape
        fields = [("row", "<i8"), ("steps", "?", (steps,)), ("total", "<f4", shape)]
        records = np.zeros(len(sums), dtype=fields)
        for record, one in zip(records, sums, strict=True):
            record["row"], record["total"] = one.row, one.total
            record["steps"][: len(one.steps)] = one.steps
        number = 1 + max((_number(file.path) for file in self._files), default=0)
        path = self._path.with_name(f"{self._path.name}-{number:06d}{kind}.npy")
        try:
            with atomic_path(path, durable=True) as temporary:
                with open(temporary, "wb") as stream:
                    np.save(stream, records)
                seal(temporary)
        except OSError as error:
            raise CheckpointError(f"{path}: partial results cannot be saved ({error})") from error
        self._take(_File(path, np.load(path, mmap_mode="r", allow_pickle=False)))

    def _take(self, file: _File) -> None:
        self._files.append(file)
        self._place |= {row: (file, position) for position, row in enumerate(file.records["row"].tolist())}


_REPAIR = "delete it to start again"


def _number(path: Path) -> int:
    return int(path.stem.removesuffix(_OPEN).rpartition("-")[2])


def _read(path: Path) -> np.ndarray:
    try:
        problem = damage(path)
        records = None if problem else np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if records is None or records.dtype.names != _FIELDS:
        raise CheckpointError(f"{path}: partial results, {problem or 'of another kind'}; {_REPAIR}")
    return records
