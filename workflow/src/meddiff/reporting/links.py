"""Files that a reader may take away from the page."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from meddiff.reporting.inline import data_uri

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


def csv_download(path: Path, results: str) -> Download:
    """A link to numbers: inside the page, or relative to it where there are many."""
    size = path.stat().st_size
    shown = f"{size / 1000:.0f} kB" if size >= 1000 else f"{size} bytes"
    if size <= LARGEST_INSIDE:
        return Download(f"CSV, {shown}", data_uri("text/csv", path.read_bytes()), path.name)
    place = os.path.relpath(path, Path(results) / "report")
    return Download(f"CSV, {shown}, in the folder of the results", Path(place).as_posix(), path.name)
