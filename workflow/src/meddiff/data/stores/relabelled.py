"""Images of another dataset as a model sees them: with its classes, and without those that are of none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from meddiff.config.schema.experiment import Classes
from meddiff.config.schema.strict import Strict, Title
from meddiff.data.stores.store import Store
from meddiff.errors import DataError

log = logging.getLogger("meddiff")


class Relabelling(Strict):
    """Which class of a model an image of another dataset is of.

    Attributes:
        class_names: the model's, in order of the class index.
        classes: class of the other dataset -> class of the model.
    """

    class_names: list[Title] = Field(min_length=2)
    classes: Classes

    def labels(self, store: Store, folder: Path) -> np.ndarray:
        """int64 [N]: the model's class index of each image, -1 for those of no class.

        Args:
            store: of the other dataset.
            folder: where it lies, for messages.

        Raises:
            DataError: if the store or the model has no class that is named.
        """
        for names, there in ((self.classes, store.class_names), (self.classes.values(), self.class_names)):
            if unknown := [name for name in names if name not in there]:
                raise DataError(f"{folder}: --relabel: no class {unknown[0]!r}; there are {', '.join(there)}")
        index = {theirs: self.class_names.index(ours) for theirs, ours in self.classes.items()}
        return np.asarray([index.get(name, -1) for name in store.class_names], dtype=np.int64)[store.labels]


def as_of_model(store: Store, relabelling: Relabelling | None, folder: Path) -> tuple[Store, np.ndarray]:
    """A store as a model sees it.

    Args:
        store: one split.
        relabelling: None where the classes are the model's already.
        folder: where it lies, for messages.

    Returns:
        The store with the model's classes, and the rows of the images that are of one: int64, ascending. The
        labels of all others are -1.

    Raises:
        DataError: if a class is named that there is not, or no image is left.
    """
    if relabelling is None:
        return store, np.arange(len(store))
    labels = relabelling.labels(store, folder)
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        raise DataError(f"{folder}: no image is of a class that `test_on` names")
    left_out = len(store) - len(rows)
    if left_out:
        others = ", ".join(name for name in store.class_names if name not in relabelling.classes)
        log.info("%s: left out %d of %d images, of %s", folder, left_out, len(store), others)
    return replace(store, labels=labels, class_names=list(relabelling.class_names)), rows


class Rows(Sequence):
    """Some rows of an array, read when they are asked for."""

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        """Rows `rows` [R] of `array` [N, ...]."""
        self._array, self._rows = array, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: slice | int) -> np.ndarray:
        """[...]: those at positions `chosen`."""
        return self._array[self._rows[chosen]]
