"""Names of the files of an experiment."""

from __future__ import annotations

import re
from pathlib import Path

from meddiff.errors import ConfigError

# As `Name` of `meddiff.config.schema.strict`: it is a part of paths.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def named_file(folder: Path, name: str, what: str) -> Path:
    """``<folder>/<name>.yaml``.

    Raises:
        ConfigError: if `name` is no name, or there is no such file; the message says what there is.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name[:80]!r}: a name has at most 64 lower-case letters, digits and underscores, and a "
            "letter first"
        )
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"{what} {name!r}: there is no {path}; known are {known}")
    return path
