"""One-level orthonormal Haar transform of image batches, on whatever device they are on."""

from __future__ import annotations

import torch
from torch import Tensor


def haar_transform(images: Tensor) -> Tensor:
    """Haar transform, halved, so that images in [-1, 1] give coefficients in [-1, 1].

    For a 2x2 block [[a, b], [c, d]] of one channel the four bands are A = (a+b+c+d)/4,
    H = (a+b-c-d)/4, V = (a-b+c-d)/4 and D = (a-b-c+d)/4.

    Args:
        images: [N, C, H, W], H and W even.

    Returns:
        [N, 4C, H/2, W/2]; the bands of a channel are neighbours: [c0_A, c0_H, c0_V, c0_D, c1_A, ...].

    Raises:
        ValueError: if a side is odd.
    """
    n, channels, height, width = images.shape
    if height % 2 or width % 2:
        raise ValueError(f"the Haar transform needs even sides, got {height} x {width}")
    a, b = images[..., 0::2, 0::2], images[..., 0::2, 1::2]
    c, d = images[..., 1::2, 0::2], images[..., 1::2, 1::2]
    bands = torch.stack((a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d), dim=2)
    return (bands / 4).reshape(n, 4 * channels, height // 2, width // 2)


def inverse_haar_transform(coefficients: Tensor) -> Tensor:
    """Undo `haar_transform`.

    Args:
        coefficients: [N, 4C, H, W].

    Returns:
        [N, C, 2H, 2W].

    Raises:
        ValueError: if the number of channels is not a multiple of four.
    """
    n, channels, height, width = coefficients.shape
    if channels % 4:
        raise ValueError(f"expected four bands a channel, got {channels} channels")
    bands = coefficients.reshape(n, channels // 4, 4, height, width)
    average, horizontal, vertical, diagonal = bands.unbind(dim=2)
    top = torch.stack(
        (average + horizontal + vertical + diagonal, average + horizontal - vertical - diagonal), -1
    )
    bottom = torch.stack(
        (average - horizontal + vertical - diagonal, average - horizontal - vertical + diagonal), -1
    )
    blocks = torch.stack((top, bottom), dim=-3)  # [N, C, H, 2, W, 2]
    return blocks.reshape(n, channels // 4, 2 * height, 2 * width)
