"""NumPy archives between the steps of counterfactuals: read whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meddiff.errors import DataError


def read_archive(path: Path, what: str, repair: str) -> dict[str, np.ndarray]:
    """All arrays of an archive. A zip file has a checksum of each, which is compared.

    Args:
        path: the file.
        what, repair: what it holds, and what to do where it does not, for messages.

    Raises:
        DataError: if it is no such archive, or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    # zipfile, zlib and NumPy report damage with whatever comes up where it is; nothing else runs here.
    except Exception as error:
        raise DataError(f"{path}: not an archive of {what}: {error}; {repair}") from error
