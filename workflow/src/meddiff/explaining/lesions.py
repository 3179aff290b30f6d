"""Where the lesions of a phantom are: a counterfactual should change them and little else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from meddiff.data.phantom.truth import MARKED_CLASSES, lesion_masks


@dataclass(frozen=True)
class KnownLesions:
    """The lesion masks of a phantom's images.

    Attributes:
        classes: classes whose images show what their mask marks.
        masks: image id -> bool [H, W], widened by the margin.
    """

    classes: tuple[int, ...]
    masks: dict[str, np.ndarray]

    @classmethod
    def read(cls, root: Path, kind: str, image_ids: Sequence[str], side: int, margin: int) -> KnownLesions:
        """The masks that lie beside a phantom's images.

        Args:
            root: folder of the images.
            kind: layout of the phantom, ``chexpert`` or ``isic``.
            image_ids: whose masks to read.
            side: of the stored images, in pixels.
            margin: pixels that masks are widened by.

        Raises:
            DataError: if a mask is missing or no image.
        """
        masks = widen(lesion_masks(root, image_ids, side), margin)
        return cls(MARKED_CLASSES[kind], dict(zip(image_ids, masks, strict=True)))

    def of(self, image_id: str, label: int) -> np.ndarray | None:
        """The mask of an image of class `label`, or None where it says nothing."""
        return self.masks.get(image_id) if label in self.classes else None


def widen(masks: np.ndarray, margin: int) -> np.ndarray:
    """Masks, bool [N, H, W], widened by `margin` pixels on every side (diagonals included)."""
    size = 2 * margin + 1
    return ndimage.maximum_filter(masks, size=(1, size, size), mode="constant", cval=False)
