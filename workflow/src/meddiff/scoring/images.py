"""Which images of a store are scored, and reading them from its file when they are needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from meddiff.data.stores.relabelled import Relabelling
from meddiff.errors import DataError


@dataclass(frozen=True)
class Shard:
    """A share of the images of a split.

    Attributes:
        store_dir, split: the images.
        number: which share, from 1 to `of`.
        of: number of shares.
        relabelling: of images of another dataset than the model was trained on.
    """

    store_dir: Path
    split: str
    number: int = 1
    of: int = 1
    relabelling: Relabelling | None = None

    def rows(self, images: int) -> np.ndarray:
        """Its rows of a split with so many images: every `of`-th."""
        return np.arange(self.number - 1, images, self.of)


class ImageRows:
    """Some rows of a store's images, in a given order; a context manager, which closes the file.

    They are read and not mapped, since what was touched of a mapping counts as memory of the process.
    """

    def __init__(self, images: np.memmap, rows: np.ndarray) -> None:
        """Open the file of `images`.

        Args:
            images: [N, H, W, C], as `meddiff.data.stores.store.Store` opens them.
            rows: int [I], which of them.
        """
        self._path, self._offset, self._dtype = images.filename, images.offset, images.dtype
        self._shape, self._rows = images.shape[1:], rows
        self._bytes = self._dtype.itemsize * int(np.prod(self._shape))
        self._file = os.open(self._path, os.O_RDONLY)

    def __getitem__(self, rows: Sequence[int]) -> np.ndarray:
        """[R, H, W, C]: of the rows that were given, those with the positions `rows`.

        Raises:
            DataError: if the file has become shorter.
        """
        images = np.empty((len(rows), *self._shape), dtype=self._dtype)
        for image, row in zip(images, self._rows[rows].tolist(), strict=True):
            data = os.pread(self._file, self._bytes, self._offset + row * self._bytes)
            if len(data) != self._bytes:
                raise DataError(f"{self._path}: ends before row {row}; run `store` again")
            image[...] = np.frombuffer(data, dtype=self._dtype).reshape(self._shape)
        return images

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
