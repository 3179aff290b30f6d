"""Content that lies inside the page: addresses that hold a file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from meddiff.data.decoding.pictures import open_picture


def data_uri(kind: str, content: bytes) -> str:
    """An address that has its content, of a media type such as ``image/png``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def picture_uri(path: Path) -> str:
    """A picture as an address that has its content, without loss in half the bytes of a PNG file."""
    stream = io.BytesIO()
    with open_picture(path) as picture:
        picture.save(stream, "WEBP", lossless=True, quality=20, method=2)
    return data_uri("image/webp", stream.getvalue())
