"""Templates, style sheets and scripts of the page, which lie beside the modules that fill them in."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def asset_files(*rooms: str) -> list[str]:
    """All files in the folders ``assets`` of rooms of the package, relative to the working folder.

    They are inputs of the report's rule: its code is found by imports, and these are not imported.
    """
    files = [path for room in rooms for path in (_PACKAGE / room / "assets").iterdir()]
    return sorted(os.path.relpath(path) for path in files if path.suffix in (".j2", ".css", ".js"))


def asset(room: str, name: str) -> str:
    """The text of one of them."""
    return (_PACKAGE / room / "assets" / name).read_text(encoding="utf-8")
