"""The code of a rule: what it names as ``input: code=``, so that an edit makes its results stale."""

from __future__ import annotations

import os

from meddiff.provenance import code_files


def code_of(*modules: str) -> list[str]:
    """Source files whose content decides what `modules` compute, relative to the working folder.

    Raises:
        ModuleNotFoundError: if one is not a module of this package.
    """
    return [os.path.relpath(path) for path in code_files(modules)]
