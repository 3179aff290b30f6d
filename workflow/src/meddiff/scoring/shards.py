"""Errors files of shards before they are joined: do they belong to the weights and settings of today?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from meddiff.errors import DataError
from meddiff.io import sha256_file
from meddiff.scoring.error_file import open_errors

_SETTINGS = ("seed", "noise_levels", "precision")


def check_shards(
    shards: Sequence[Path], weights_dir: Path, store_dir: Path, split: str, settings: Mapping[str, Any]
) -> None:
    """Compare what each errors file says about itself with what it should have been made from.

    Args:
        shards: errors files.
        weights_dir: folder of the weights.
        store_dir, split: the images.
        settings: ``seed``, ``steps``, ``noise_levels`` and ``precision``.

    Raises:
        DataError: naming the file and what differs.
    """
    expected = {
        "weights_sha256": sha256_file(weights_dir / "model.safetensors"),
        "store_sha256": sha256_file(store_dir / "manifest.json"),
        "split": split,
        **{key: settings[key] for key in _SETTINGS},
    }
    for path in shards:
        with open_errors(path) as errors:
            found = {**errors.attrs, "steps": errors.sizes["step"]}
        for key, value in {**expected, "steps": settings["steps"]}.items():
            if found.get(key) != value:
                raise DataError(
                    f"{path}: was scored with {key} {found.get(key)!r}, expected {value!r}; delete it and "
                    "score again"
                )
