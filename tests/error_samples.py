"""Files of errors and of evidence maps from arrays in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from meddiff.scoring.error_file import errors_file
from meddiff.scoring.evidence_file import evidence_file
from meddiff.scoring.labelled_file import ImageSet


def make_errors(
    errors: np.ndarray,
    logsnr: np.ndarray,
    image_ids: Sequence[str],
    labels: np.ndarray,
    groups: Sequence[str],
    class_names: Sequence[str],
    attributes: dict[str, Any],
) -> xr.Dataset:
    """What `meddiff.scoring.error_file.load_errors` reads; arguments as in `errors_file`."""
    return xr.Dataset(
        {
            "errors": (("image", "step", "class"), errors.astype(np.float32, copy=False)),
            "logsnr": (("image", "step"), logsnr.astype(np.float32, copy=False)),
            "label": ("image", np.asarray(labels, dtype=np.int64)),
            "group": ("image", np.asarray(groups, dtype=str)),
        },
        coords={
            "image": np.asarray(image_ids, dtype=str),
            "class": np.asarray(class_names, dtype=str),
        },
        attrs=attributes,
    )


def save_errors(dataset: xr.Dataset, path: Path, rows_at_once: int = 1000) -> Path:
    """Write `dataset` in parts of `rows_at_once` images; return `path`."""
    small = (dataset[name].values for name in ("image", "label", "group", "class"))
    with errors_file(path, ImageSet(*small), dataset.sizes["step"], dataset.attrs) as write:
        for first in range(0, dataset.sizes["image"], rows_at_once):
            part = dataset.isel(image=slice(first, first + rows_at_once))
            write(first, part["errors"].values, part["logsnr"].values)
    return path


def save_evidence(dataset: xr.Dataset, path: Path) -> Path:
    """Write what `meddiff.scoring.evidence_file.load_evidence` reads; return `path`."""
    small = (dataset[name].values for name in ("image", "label", "group", "class"))
    size = dataset.sizes["y"], dataset.sizes["x"]
    with evidence_file(path, ImageSet(*small), size, dataset.attrs) as write:
        write(0, dataset["evidence"].values, dataset["steps_used"].values)
    return path
