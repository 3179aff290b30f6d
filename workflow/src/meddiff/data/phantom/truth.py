"""What is known about the images of a phantom: where the evidence of their class is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from meddiff.data.decoding.images import decode
from meddiff.data.decoding.pixels import resize

# Classes whose images show what their mask marks. A chest film without effusion has a mask of where the
# phantom would have drawn one, on a side that the film itself does not tell; every skin image has a lesion.
MARKED_CLASSES: dict[str, tuple[int, ...]] = {"chexpert": (1,), "isic": (0, 1)}

_HALF = 127  # of the mask's range: a pixel belongs to the mask if at least half of it does


def lesion_masks(root: Path, image_ids: Sequence[str], size: int) -> np.ndarray:
    """Masks of images as they lie in a store, bool [N, size, size].

    Args:
        root: the folder that the phantom was generated in.
        image_ids: N ids.
        size: side of the store's images in pixels.

    Raises:
        DataError: a mask is missing.
    """
    masks = []
    for image_id in image_ids:
        mask: Image.Image = decode(root / "masks" / f"{image_id}.png", channels=1)
        masks.append(resize(mask, size)[..., 0] > _HALF)
    return np.stack(masks) if masks else np.empty((0, size, size), dtype=bool)
