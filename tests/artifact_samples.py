"""Commands that make tables and figures, for the tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meddiff.artifacts.lookup import load


def outputs_of(name: str, folder: Path) -> list[Path]:
    """The files in `folder` of an artifact such as ``tables/audit``: ``audit.csv`` and its forms."""
    return [folder / f"{name.partition('/')[2]}.{suffix}" for suffix in load(name).suffixes]


def command_of(
    name: str, params: dict[str, Any], folder: Path, **inputs: Sequence[str | Path] | str | Path
) -> list[str]:
    """The command that makes an artifact in `folder` from `inputs`, name -> one file or several."""
    words = ["artifact", name, "--params", json.dumps(params)]
    for source, files in inputs.items():
        words += ["--input", source, *map(str, [files] if isinstance(files, str | Path) else files)]
    return [*words, "--out", *map(str, outputs_of(name, folder))]
