"""Several datasets as one: the training images of a model that is trained on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.data.stores.store import Store
from meddiff.errors import DataError


class JointImages:
    """Images of several stores behind one index; grey ones become three equal channels where others are RGB.

    Attributes:
        shape: (N, H, W, C) of all images together.
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self._parts = list(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        self.shape = (int(self._starts[-1]), *parts[0].shape[1:3], max(part.shape[3] for part in parts))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The images of `rows` (an index array or a slice), uint8 [n, H, W, C], in their order."""
        rows = np.arange(len(self))[rows]
        out = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        for index, part in enumerate(self._parts):
            mine = np.flatnonzero(owner == index)
            out[mine] = part[rows[mine] - self._starts[index]]
        return out


@dataclass(frozen=True)
class JointStore:
    """One split of several stores, with the interface of `Store` that training uses.

    Classes follow each other in the order of the stores: the second store's first class comes after the
    first store's last.
    """

    images: JointImages
    image_ids: list[str]
    labels: np.ndarray
    groups: list[str]
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def num_classes(self) -> int:
        """How many classes all datasets have together."""
        return len(self.class_names)

    @classmethod
    def open(cls, folders: Sequence[Path], split: str, *, checked: bool = True) -> JointStore:
        """Open one split of every store; `checked` as in `Store.open`.

        Raises:
            DataError: as `Store.open`, or the stores' images differ in size.
        """
        stores = [Store.open(folder, split, checked=checked) for folder in folders]
        sizes = {str(folder): store.images.shape[1] for folder, store in zip(folders, stores, strict=True)}
        if len(set(sizes.values())) > 1:
            raise DataError(f"joint training needs images of one size, got {sizes}; give the model a size")
        offsets = np.cumsum([0, *(store.num_classes for store in stores)])
        return cls(
            JointImages([store.images for store in stores]),
            [f"{i}/{image_id}" for i, store in enumerate(stores) for image_id in store.image_ids],
            np.concatenate([store.labels + offset for store, offset in zip(stores, offsets, strict=False)]),
            [f"{i}/{group}" for i, store in enumerate(stores) for group in store.groups],
            [name for store in stores for name in store.class_names],
        )
