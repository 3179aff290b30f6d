"""Stored images to network input."""

from __future__ import annotations

import torch
from torch import Tensor


def to_unit_range(images: Tensor) -> Tensor:
    """Stored images, uint8 [N, H, W, C], to fp32 [N, C, H, W] in [-1, 1]: (x / 255 - .5) / .5."""
    # In place: a new array for each operation takes longer than the arithmetic.
    return images.permute(0, 3, 1, 2).to(torch.float32).div_(255.0).sub_(0.5).div_(0.5)


def in_unit_range(images: Tensor) -> Tensor:
    """`to_unit_range` of stored images (uint8); others are in that range already."""
    return to_unit_range(images) if images.dtype == torch.uint8 else images
