"""The file of noise-prediction errors: one labelled array that every later result is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr

from meddiff.errors import DataError
from meddiff.format_version import KEY, as_of_today
from meddiff.io import allocate, atomic_path
from meddiff.sealed_file import damage, seal

FORMAT_VERSION = 2
ENGINE = "h5netcdf"
_REPAIR = "delete it and run again: errors that are still in the state folder are taken over"
_ELEMENTS_AT_ONCE = 1 << 21  # of [image, step, class] while joining, to bound memory

# What HDF5 needs at most, beside numbers and characters: for one text, and for everything else.
_TEXT_BYTES, _OTHER_BYTES = 64, 1 << 16

Write = Callable[[int, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class ImageSet:
    """What is known of images, in their order.

    Attributes:
        image_ids: I ids, unique.
        labels: int [I], class indices.
        groups: I patient or lesion ids.
        class_names: K names in order of the class index.
    """

    image_ids: Sequence[str]
    labels: np.ndarray
    groups: Sequence[str]
    class_names: Sequence[str]

    def __len__(self) -> int:
        return len(self.image_ids)


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
    texts = chain(images.image_ids, images.groups, images.class_names, map(str, attributes.values()))
    numbers = len(images) * steps * (len(images.class_names) + 1)
    size = numbers * np.float32().nbytes + sum(_TEXT_BYTES + len(text) for text in texts) + _OTHER_BYTES
    with atomic_path(path, durable=True) as temporary:
        # Asked for beforehand: where there is no room, HDF5 may take the process with it.
        with open(temporary, "r+b") as stream:
            allocate(stream.fileno(), size)
        with h5netcdf.File(temporary, "w") as file:
            errors, logsnr = _create(file, images, steps, attributes)

            def write(first: int, some_errors: np.ndarray, some_logsnr: np.ndarray) -> None:
                rows = slice(first, first + len(some_errors))
                errors[rows], logsnr[rows] = some_errors, some_logsnr

            yield write
        seal(temporary)


def _create(
    file: h5netcdf.File, images: ImageSet, steps: int, attributes: Mapping[str, Any]
) -> tuple[h5netcdf.Variable, h5netcdf.Variable]:
    """Write all but errors and logSNR, and make place for these."""
    text = h5py.string_dtype()
    file.dimensions = {"image": len(images), "step": steps, "class": len(images.class_names)}
    errors = file.create_variable("errors", ("image", "step", "class"), np.float32, fillvalue=np.nan)
    logsnr = file.create_variable("logsnr", ("image", "step"), np.float32, fillvalue=np.nan)
    small = {
        "label": ("image", np.int64, np.asarray(images.labels, dtype=np.int64)),
        "group": ("image", text, np.asarray(images.groups, dtype=object)),
        "image": ("image", text, np.asarray(images.image_ids, dtype=object)),
        "class": ("class", text, np.asarray(images.class_names, dtype=object)),
    }
    for name, (dimension, kind, values) in small.items():
        variable = file.create_variable(name, (dimension,), kind)
        if len(values):
            variable[...] = values
    for name, value in {**attributes, KEY: FORMAT_VERSION}.items():
        file.attrs[name] = value
    return errors, logsnr


@contextmanager
def open_errors(path: str | Path) -> Iterator[xr.Dataset]:
    """An errors file, in today's form, of which only what is asked for is read; see `load_errors`."""
    try:
        problem = damage(Path(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {_REPAIR}") from error
    if problem:
        raise DataError(f"{path}: {problem}; {_REPAIR}")
    with xr.open_dataset(path, engine=ENGINE, cache=False) as dataset:
        found = dataset.attrs.pop(KEY, None)
        yield as_of_today(path, found, dataset, (_from_version_1,), DataError, _REPAIR)


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
        attributes, class_names = _joined_attributes(parts), parts[0]["class"].values
        steps = parts[0].sizes["step"]
        shard, row = _places([part["image"].values for part in parts], image_ids)
        labels, groups = (_picked([part[n].values for part in parts], shard, row) for n in ("label", "group"))
        block = max(1, _ELEMENTS_AT_ONCE // max(1, steps * len(class_names)))
        images = ImageSet(image_ids, labels, groups, class_names)
        with errors_file(out, images, steps, attributes) as write:
            for first in range(0, len(image_ids), block):
                here = slice(first, first + block)
                errors, logsnr = (
                    _picked([part[n] for part in parts], shard[here], row[here]) for n in ("errors", "logsnr")
                )
                write(first, errors, logsnr)


def _joined_attributes(parts: Sequence[xr.Dataset]) -> dict[str, Any]:
    first = parts[0]
    for part in parts[1:]:
        attributes = {*first.attrs, *part.attrs} - {"device"}
        differing = {k for k in attributes if first.attrs.get(k) != part.attrs.get(k)}
        if part.sizes["step"] != first.sizes["step"]:
            differing.add("steps")
        if part["class"].values.tolist() != first["class"].values.tolist():
            differing.add("classes")
        if differing:
            raise DataError(f"shards differ in {sorted(differing)}; delete them and score again")
    # A cluster may mix cards; the file then names all of them.
    devices = sorted({part.attrs["device"] for part in parts if "device" in part.attrs})
    return {**first.attrs, "device": ", ".join(devices)}


def _places(found: Sequence[np.ndarray], image_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """[I] the shard that has each image, and [I] its row there; `found` has the ids of each shard."""
    got = [image_id for ids in found for image_id in ids.tolist()]
    if sorted(got) != sorted(image_ids):
        raise DataError(
            f"shards hold {len(got)} images, expected the {len(image_ids)} of the split, each once"
        )
    places = {image_id: (i, row) for i, ids in enumerate(found) for row, image_id in enumerate(ids.tolist())}
    shard, row = np.array([places[image_id] for image_id in image_ids], dtype=np.int64).reshape(-1, 2).T
    return shard, row


def _picked(arrays: Sequence[np.ndarray | xr.DataArray], shard: np.ndarray, row: np.ndarray) -> np.ndarray:
    """[R, ...] the rows `row` [R] of the arrays that `shard` [R] says."""
    # Texts have the length of the longest in their shard.
    dtype = np.result_type(*(array.dtype for array in arrays))
    result = np.empty((len(row), *arrays[0].shape[1:]), dtype=dtype)
    for i in np.unique(shard):
        here = shard == i
        first, last = row[here].min(), row[here].max()
        # One range, since HDF5 is slow with lists; shards keep the order of images, so it has no other rows.
        result[here] = np.asarray(arrays[i][first : last + 1])[row[here] - first]
    return result
