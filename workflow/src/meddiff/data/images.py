"""Decode image files to 8-bit grey or RGB."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from meddiff.errors import DataError

T = TypeVar("T")
R = TypeVar("R")

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")

_EIGHT_BIT = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
_SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}


def decode(path: str | os.PathLike[str], channels: Literal[1, 3]) -> Image.Image:
    """Decode one image completely, to mode ``L`` (`channels` 1) or ``RGB`` (3).

    8-bit images are converted as `PIL.Image.convert` does it (palettes resolved, alpha dropped, the
    orientation tag ignored, as torchvision does). 16-bit grey is scaled by 255/65535 and rounded.

    Raises:
        DataError: no such file, not an image, truncated, or a pixel format with no obvious 8-bit form.
    """
    mode = "L" if channels == 1 else "RGB"
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode in _SIXTEEN_BIT:
                return _scale_to_8_bit(image).convert(mode)
            if image.mode in _EIGHT_BIT:
                return image.convert(mode)
            found = image.mode
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: is not an image that can be read") from error
    # Pillow's plugins report damage with all of these, depending on the format and on where it is.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be decoded: {error}") from error
    raise DataError(f"{path}: pixel format {found!r} has no fixed range; convert it to 8- or 16-bit")


def thread_map(function: Callable[[T], R], items: Sequence[T], threads: int | None = None) -> Iterator[R]:
    """Map over `items` in threads, in order; for functions that release the GIL (decode, hash).

    Args:
        function: called once for each item.
        items: the arguments.
        threads: default is the number of CPUs this process may use.
    """
    pool = ThreadPoolExecutor(threads or usable_cpus())
    try:
        yield from pool.map(function, items)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether the file name ends like an image's."""
    return Path(path).suffix.lower() in SUFFIXES


def usable_cpus() -> int:
    # A cluster job may use fewer CPUs than the machine has; macOS does not tell.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _scale_to_8_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    return Image.fromarray(np.rint(values * (255 / 65535)).astype(np.uint8))
