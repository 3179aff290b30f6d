"""The file of noise-prediction errors: one labelled array that every later result is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from meddiff.scoring.labelled_file import (
    ImageSet,
    joined_attributes,
    labelled_file,
    open_labelled,
    picked,
    places,
)

FORMAT_VERSION = 2
_REPAIR = "delete it and run again: errors that are still in the state folder are taken over"
_ELEMENTS_AT_ONCE = 1 << 21  # of [image, step, class] while joining, to bound memory

Write = Callable[[int, np.ndarray, np.ndarray], None]


@contextmanager
def errors_file(
    path: str | Path, images: ImageSet, steps: int, attributes: Mapping[str, Any]
) -> Iterator[Write]:
    """Write an errors file (netCDF 4) part by part, atomically.

    The block gets a function ``write(first, errors, logsnr)`` for the images from row `first` on: errors
    fp32 [R, S, K], NaN where a step was not evaluated, and logSNR fp32 [R, S]. What is not written is NaN.
    The same content gives the same bytes, which end with their checksum (`meddiff.sealed_file`).

    Args:
        path: the file.
        images: the I images and K classes.
        steps: S.
        attributes: where the errors come from (weights hash, seed, precision, ...), strings and numbers.

    Raises:
        DiskError: if there is no room for it; an earlier file is left as it was.
    """
    arrays = {"errors": ("image", "step", "class"), "logsnr": ("image", "step")}
    with labelled_file(path, images, arrays, {"step": steps}, attributes, FORMAT_VERSION) as file:

        def write(first: int, some_errors: np.ndarray, some_logsnr: np.ndarray) -> None:
            rows = slice(first, first + len(some_errors))
            file["errors"][rows], file["logsnr"][rows] = some_errors, some_logsnr

        yield write


@contextmanager
def open_errors(path: str | Path) -> Iterator[xr.Dataset]:
    """An errors file, in today's form, of which only what is asked for is read; see `load_errors`."""
    with open_labelled(path, (_from_version_1,), _REPAIR) as dataset:
        yield dataset


def _from_version_1(dataset: xr.Dataset) -> xr.Dataset:
    """It differs only in that it does not say its version."""
    return dataset


def load_errors(path: str | Path) -> xr.Dataset:
    """Read an errors file into memory.

    Raises:
        DataError: if it is missing, damaged, has no checksum, or was made by a newer meddiff.
    """
    with open_errors(path) as dataset:
        return dataset.load()


def gather_errors(shards: Sequence[str | Path], image_ids: Sequence[str], out: str | Path) -> None:
    """Join errors files of shards into `out`, with the images in the order of `image_ids`.

    Not more than a few blocks of errors are in memory where each shard has its images in that order.

    Raises:
        DataError: if a shard is damaged, the shards were made from different weights or settings, or they are
            not a partition.
    """
    with ExitStack() as stack:
        parts = [stack.enter_context(open_errors(path)) for path in shards]
        attributes, class_names = joined_attributes(parts, ["step"]), parts[0]["class"].values
        steps = parts[0].sizes["step"]
        shard, row = places([part["image"].values for part in parts], image_ids)
        labels, groups = (picked([part[n].values for part in parts], shard, row) for n in ("label", "group"))
        block = max(1, _ELEMENTS_AT_ONCE // max(1, steps * len(class_names)))
        images = ImageSet(image_ids, labels, groups, class_names)
        with errors_file(out, images, steps, attributes) as write:
            for first in range(0, len(image_ids), block):
                here = slice(first, first + block)
                errors, logsnr = (
                    picked([part[n] for part in parts], shard[here], row[here]) for n in ("errors", "logsnr")
                )
                write(first, errors, logsnr)
