"""Images decoded and resized once, in arrays that training and scoring map into memory.

Files in a store's folder: ``<split>.npy`` (uint8 [N,H,W,C]), ``index.parquet`` (`split, row, image_id,
label, group`), and ``manifest.json``, written last, with the checksums of all content.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.data.stores.store_files import compare_images, open_images, read_index, read_manifest


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
    def open(cls, folder: str | os.PathLike[str], split: str, *, checked: bool = True) -> Store:
        """Open ``<folder>/<split>.npy`` and its part of the index.

        Args:
            folder: of the store.
            split: one of the manifest's.
            checked: whether to compare the images with their checksum (`check_images`): not where only their
                number, shape or ids are of interest.

        Raises:
            DataError: the store is missing or of another version, has no such split, or a file is damaged or
                does not fit the manifest.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, split)
        images = open_images(folder, split, manifest)
        if checked:
            compare_images(folder, split, images, manifest)
        index = read_index(folder, split, manifest["splits"][split])
        return cls(
            images=images,
            image_ids=index["image_id"].tolist(),
            labels=index["label"].to_numpy(np.int64, copy=True),
            groups=index["group"].tolist(),
            class_names=list(manifest["class_names"]),
            manifest=manifest,
        )
