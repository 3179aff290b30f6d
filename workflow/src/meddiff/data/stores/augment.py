"""Random changes of training images: batched, on the device, a function of (key, step) for every image."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from meddiff.config.schema.augmentation import Augmentation
from meddiff.diffusion.noise import STREAM_AUGMENTATION, uniform
from meddiff.diffusion.pixels import to_unit_range

_BLUR_TAPS = 5
_DRAWS = 7
_FLIP_X, _FLIP_Y = 0, 1  # of the draws


def augment_pixels(pixels: Tensor, config: Augmentation, keys: Tensor, steps: Tensor) -> Tensor:
    """`augment` of stored images, which stay what they are where there are only flips.

    Args:
        pixels: uint8 [N, H, W, C].
        config, keys, steps: see `augment`.

    Returns:
        uint8 [N, H, W, C] if ``config.only_flips``, else fp32 [N, C, H, W] in [-1, 1].
    """
    if not config.only_flips:
        return augment(to_unit_range(pixels), config, keys, steps)
    draws = uniform(keys, steps, _DRAWS, STREAM_AUGMENTATION)
    for probability, column, axis in ((config.hflip, _FLIP_X, 2), (config.vflip, _FLIP_Y, 1)):
        if probability:
            flipped = (draws[:, column] < probability)[:, None, None, None]
            pixels = torch.where(flipped, pixels.flip(axis), pixels)
    return pixels


def augment(images: Tensor, config: Augmentation, keys: Tensor, steps: Tensor) -> Tensor:
    """Flip, rotate, shift, scale and blur each image by its own draws.

    All movements are one affine map and one bilinear resampling, at the store's resolution.

    Args:
        images: fp32 [N, C, H, W] in [-1, 1].
        config: how strong; the default changes nothing.
        keys: int64 [N, 2], a key an image (`meddiff.diffusion.noise.noise_keys`).
        steps: int64 [N]; the draws of an image are a function of its key and step only.

    Returns:
        fp32 [N, C, H, W] in [-1, 1].
    """
    draws = uniform(keys, steps, _DRAWS, STREAM_AUGMENTATION)
    if config.hflip or config.vflip or config.rotation or config.shift or config.scale:
        images = _move(images, _affine(draws, config, images.shape[-2:]), config.fill)
    if config.blur_sigma:
        low, high = config.blur_sigma
        images = _blur(images, low + (high - low) * draws[:, 6])
    return images


def _affine(draws: Tensor, config: Augmentation, shape: torch.Size) -> Tensor:
    """Maps from output to input coordinates in [-1, 1], [N, 2, 3]."""
    signed = 2.0 * draws - 1.0
    angle = signed[:, 2] * math.radians(config.rotation)
    scale = 1.0 + signed[:, 5] * config.scale
    flip_x = torch.where(draws[:, _FLIP_X] < config.hflip, -1.0, 1.0)
    flip_y = torch.where(draws[:, _FLIP_Y] < config.vflip, -1.0, 1.0)
    # Coordinates are relative to the sides: on an image that is not square a rotation needs their ratio.
    ratio = shape[0] / shape[1]
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = (
        torch.stack((flip_x * cos, -flip_x * sin * ratio, 2.0 * signed[:, 3] * config.shift), dim=1),
        torch.stack((flip_y * sin / ratio, flip_y * cos, 2.0 * signed[:, 4] * config.shift), dim=1),
    )
    return torch.stack(rows, dim=1)


def _move(images: Tensor, affine: Tensor, fill: str) -> Tensor:
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    if fill == "reflect":
        return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    # Zeros come in at the edges, so black has to be zero while the image is moved.
    return functional.grid_sample(images + 1.0, grid, padding_mode="zeros", align_corners=False) - 1.0


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with a kernel of its own for every image; edges are reflected."""
    n, channels, height, width = images.shape
    taps = torch.arange(_BLUR_TAPS, device=images.device, dtype=images.dtype) - _BLUR_TAPS // 2
    kernel = torch.softmax(-0.5 * (taps / sigma[:, None]).square(), dim=1).repeat_interleave(channels, dim=0)
    half = _BLUR_TAPS // 2
    padded = functional.pad(images, (half, half, half, half), mode="reflect")
    flat = padded.reshape(1, n * channels, height + 2 * half, width + 2 * half)
    flat = functional.conv2d(flat, kernel[:, None, :, None], groups=n * channels)
    flat = functional.conv2d(flat, kernel[:, None, None, :], groups=n * channels)
    return flat.reshape(images.shape)
