"""Images unlike those a model was trained on, made from images that are like them.

Each shift is a function of an image and of its own random numbers, which depend on the seed, the shift and
the image id only. Strengths are for any side: lengths are shares of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, rotate

ROTATION_DEGREES = 30
BLUR_SIGMA = 1 / 32  # of the side: 1 px at 32 px
NOISE_SIGMA = 0.1  # of white
CONTRAST = 0.5

Shift = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def inverted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """White for black."""
    return 255 - image


def rotated(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turned by `ROTATION_DEGREES` to a random side; what comes in at the corners is reflected."""
    angle = ROTATION_DEGREES * rng.choice([-1, 1])
    return rotate(image, angle, reshape=False, order=1, mode="reflect")


def upside_down(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The first row last."""
    return image[::-1]


def blurred(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """By a Gaussian of standard deviation `BLUR_SIGMA`."""
    sigma = BLUR_SIGMA * image.shape[0]
    return _uint8(gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="reflect"))


def noisy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With Gaussian noise of standard deviation `NOISE_SIGMA`, another number a pixel and channel."""
    return _uint8(image + 255 * NOISE_SIGMA * rng.standard_normal(image.shape))


def half_contrast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half as far from the image's mean, which stays (of each channel)."""
    mean = image.mean(axis=(0, 1))
    return _uint8(mean + CONTRAST * (image - mean))


SHIFTS: Mapping[str, Shift] = {
    "inverted": inverted,
    "rotated": rotated,
    "upside_down": upside_down,
    "blurred": blurred,
    "noisy": noisy,
    "half_contrast": half_contrast,
}


def shifted(image: np.ndarray, shift: str, image_id: str, seed: int) -> np.ndarray:
    """One of `SHIFTS` of an image.

    Args:
        image: uint8 [H, W, C].
        shift: its name.
        image_id, seed: of the random numbers.

    Returns:
        uint8 [H, W, C].
    """
    digest = hashlib.blake2b(f"{shift}\0{image_id}".encode(), digest_size=8).digest()
    rng = np.random.default_rng([seed, int.from_bytes(digest, "little")])
    return SHIFTS[shift](image, rng)


def fitted_to(image: np.ndarray, size: int, channels: int) -> np.ndarray:
    """An image of another dataset in the size and the channels of this one.

    Args:
        image: uint8 [H, W, C], C of 1 or 3.
        size: side in pixels.
        channels: 1 (luminance) or 3 (equal channels).

    Returns:
        uint8 [size, size, channels].
    """
    picture = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
    picture = picture.convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    return pixels.reshape(size, size, channels)


def _uint8(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
