"""The one place that opens picture files."""

from __future__ import annotations

import os

from PIL import Image

from meddiff.io import regular_file

# Pillow knows some forty formats and goes by content, whatever a file is called. One of them (EPS) starts
# another program to be read, and many others have few users who would notice a fault. Only these are tried.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP")


def open_picture(path: str | os.PathLike[str]) -> Image.Image:
    """Open a picture file by its content; pixels are not read yet.

    Raises:
        DataError: `path` is no regular file.
        UnidentifiedImageError: it holds none of `FORMATS`.
        OSError: it cannot be opened. What else a damaged file raises depends on its format.
    """
    regular_file(path)
    return Image.open(path, formats=FORMATS)
