"""The file of noise-prediction errors: one labelled array that every later result is made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from meddiff.errors import DataError
from meddiff.io import atomic_path

ENGINE = "h5netcdf"


def make_errors(
    errors: np.ndarray,
    logsnr: np.ndarray,
    image_ids: Sequence[str],
    labels: np.ndarray,
    groups: Sequence[str],
    class_names: Sequence[str],
    attributes: dict[str, Any],
) -> xr.Dataset:
    """Assemble the labelled array.

    Args:
        errors: fp32 [I, S, K]; NaN where a step was not evaluated.
        logsnr: fp32 [I, S].
        image_ids, groups: I strings each.
        labels: int [I].
        class_names: K strings.
        attributes: where the errors come from (weights hash, seed, precision, ...).
    """
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


def save_errors(dataset: xr.Dataset, path: str | Path) -> None:
    """Write `dataset` as netCDF 4, atomically."""
    with atomic_path(path) as temporary:
        dataset.to_netcdf(temporary, engine=ENGINE)


def load_errors(path: str | Path) -> xr.Dataset:
    """Read an errors file into memory.

    Raises:
        DataError: if it cannot be read or has not the variables it must have.
    """
    try:
        dataset = xr.load_dataset(path, engine=ENGINE)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable errors file: {error}; delete it and run again") from error
    missing = {"errors", "logsnr", "label", "group"} - set(dataset.data_vars)
    if missing:
        raise DataError(f"{path}: variables {sorted(missing)} are missing; delete it and run again")
    return dataset


def gather_errors(parts: Sequence[xr.Dataset], image_ids: Sequence[str]) -> xr.Dataset:
    """Join shards into one dataset with the images in the order of `image_ids`.

    Raises:
        DataError: if the shards were made from different weights or settings, or are not a partition.
    """
    first = parts[0].attrs
    for part in parts[1:]:
        differing = {k for k in {*first, *part.attrs} if first.get(k) != part.attrs.get(k)} - {"device"}
        if differing:
            raise DataError(f"shards differ in {sorted(differing)}; delete them and score again")
    # A cluster may mix cards; the file then names all of them.
    devices = sorted({part.attrs["device"] for part in parts if "device" in part.attrs})
    parts = [part.assign_attrs(device=", ".join(devices)) for part in parts]
    joined = xr.concat(parts, dim="image", data_vars="minimal", combine_attrs="identical")
    got = joined["image"].values.tolist()
    if sorted(got) != sorted(image_ids):
        raise DataError(
            f"shards hold {len(got)} images, expected the {len(image_ids)} of the split, each once"
        )
    return joined.sel(image=list(image_ids))
