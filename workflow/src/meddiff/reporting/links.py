"""Files that a reader may take away from the page."""

from __future__ import annotations

import base64
import io
import os
from dataclasses import dataclass
from pathlib import Path

from meddiff.data.decoding.pictures import open_picture

# Larger ones would make a page that no mail takes; they are linked to, and lie beside it.
LARGEST_INSIDE = 400_000


@dataclass(frozen=True)
class Download:
    """A link to a file.

    Attributes:
        title: of the link.
        href: the file itself, or where it lies seen from the page.
        name: of the file.
    """

    title: str
    href: str
    name: str


def picture_uri(path: Path) -> str:
    """A picture as an address that has its content, without loss in half the bytes of a PNG file."""
    stream = io.BytesIO()
    with open_picture(path) as picture:
        picture.save(stream, "WEBP", lossless=True, quality=20, method=2)
    return _data_uri("image/webp", stream.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def csv_download(path: Path, results: str) -> Download:
    """A link to numbers: inside the page, or relative to it where there are many."""
    size = path.stat().st_size
    shown = f"{size / 1000:.0f} kB" if size >= 1000 else f"{size} bytes"
    if size <= LARGEST_INSIDE:
        return Download(f"CSV, {shown}", _data_uri("text/csv", path.read_bytes()), path.name)
    place = os.path.relpath(path, Path(results) / "report")
    return Download(f"CSV, {shown}, in the folder of the results", Path(place).as_posix(), path.name)
