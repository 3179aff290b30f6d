"""The one place that opens picture files."""

from __future__ import annotations

import os
from importlib.metadata import version

from PIL import Image

from meddiff.errors import DataError
from meddiff.io import regular_file

# Pillow knows some forty formats and goes by content, whatever a file is called. One of them (EPS) starts
# another program to be read, and many others have few users who would notice a fault. Only these are tried.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP")
# A mammogram has 30 million pixels. A few kilobytes can claim billions.
MOST_PIXELS = 400_000_000
# Pillow warns at the first and refuses twice as many with a message of its own; its default is smaller.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS


def open_picture(path: str | os.PathLike[str]) -> Image.Image:
    """Open a picture file by its content; pixels are not read yet.

    Raises:
        DataError: `path` is no regular file, or has more than `MOST_PIXELS`.
        UnidentifiedImageError: it holds none of `FORMATS`.
        OSError: it cannot be opened. What else a damaged file raises depends on its format.
    """
    regular_file(path)
    try:
        image = Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: is too large: {error} {_SMALLER}") from error
    try:
        check_size(path, *image.size)
    except DataError:
        image.close()
        raise
    return image


def decoder_versions() -> dict[str, str]:
    """The libraries that decode pictures: another version may give other values."""
    return {name: version(name) for name in ("pillow", "pydicom", "python-gdcm", "pylibjpeg-openjpeg")}


def check_size(path: str | os.PathLike[str], width: int, height: int) -> None:
    """Refuse a picture by what its header says, before memory is taken for its pixels.

    Raises:
        DataError: it has more than `MOST_PIXELS`.
    """
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{path}: has {width} x {height} pixels, which are {width * height / 1e6:.0f} megapixels. "
            f"{_SMALLER}"
        )


_SMALLER = (
    f"At most {MOST_PIXELS / 1e6:.0f} megapixels are read: save it smaller, cut it into tiles, or leave its "
    "row out"
)
