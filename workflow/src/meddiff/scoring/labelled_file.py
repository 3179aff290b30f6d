"""What files of errors and of evidence maps share: netCDF 4 with a row an image, joined from shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr

from meddiff.errors import ConfigError, DataError
from meddiff.format_version import KEY, as_of_today
from meddiff.io import allocate, atomic_path
from meddiff.sealed_file import damage, seal

ENGINE = "h5netcdf"

# What HDF5 needs at most, beside numbers and characters: for one text, and for everything else.
_TEXT_BYTES, _OTHER_BYTES = 64, 1 << 16


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


@dataclass(frozen=True)
class ScoredFiles:
    """The files of scored images.

    Attributes:
        errors: of errors.
        evidence: of evidence maps; None where none are made.
    """

    errors: Path
    evidence: Path | None = None

    @classmethod
    def of(cls, paths: Sequence[Path]) -> ScoredFiles:
        """Of one path or two.

        Raises:
            ConfigError: if there are more.
        """
        if len(paths) > 2:
            raise ConfigError(
                f"{', '.join(map(str, paths))}: expected an errors file, and at most one of evidence maps"
            )
        return cls(*paths)


@contextmanager
def labelled_file(
    path: str | Path,
    images: ImageSet,
    arrays: Mapping[str, tuple[str, ...]],
    sizes: Mapping[str, int],
    attributes: Mapping[str, Any],
    version: int,
) -> Iterator[h5netcdf.File]:
    """Write a netCDF 4 file with a row an image, atomically.

    It has labels, groups, ids and class names of `images`; the block fills the rest, which is NaN until then.
    The same content gives the same bytes, which end with their checksum (`meddiff.sealed_file`).

    Args:
        path: the file.
        images: the images and classes.
        arrays: name of each further array -> its dimensions; they are fp32.
        sizes: of the dimensions beside ``image`` and ``class``.
        attributes: where it comes from, strings and numbers.
        version: of its format.

    Raises:
        DiskError: if there is no room for it; an earlier file is left as it was.
    """
    sizes = {"image": len(images), **sizes, "class": len(images.class_names)}
    texts = chain(images.image_ids, images.groups, images.class_names, map(str, attributes.values()))
    numbers = sum(int(np.prod([sizes[name] for name in names])) for names in arrays.values())
    size = numbers * np.float32().nbytes + sum(_TEXT_BYTES + len(text) for text in texts) + _OTHER_BYTES
    with atomic_path(path, durable=True) as temporary:
        # Asked for beforehand: where there is no room, HDF5 may take the process with it.
        with open(temporary, "r+b") as stream:
            allocate(stream.fileno(), size)
        with h5netcdf.File(temporary, "w") as file:
            file.dimensions = sizes
            for name, dimensions in arrays.items():
                file.create_variable(name, dimensions, np.float32, fillvalue=np.nan)
            _write_labels(file, images)
            for name, value in {**attributes, KEY: version}.items():
                file.attrs[name] = value
            yield file
        seal(temporary)


def _write_labels(file: h5netcdf.File, images: ImageSet) -> None:
    text = h5py.string_dtype()
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


@contextmanager
def open_labelled(
    path: str | Path, older: Sequence[Callable[[xr.Dataset], xr.Dataset]], repair: str
) -> Iterator[xr.Dataset]:
    """A file of `labelled_file`, in today's form, of which only what is asked for is read.

    Args:
        path: the file.
        older: see `meddiff.format_version.as_of_today`.
        repair: what to do about a file that is of no use.

    Raises:
        DataError: if it is missing, damaged, has no checksum, or was made by a newer meddiff.
    """
    try:
        problem = damage(Path(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {repair}") from error
    if problem:
        raise DataError(f"{path}: {problem}; {repair}")
    with xr.open_dataset(path, engine=ENGINE, cache=False) as dataset:
        found = dataset.attrs.pop(KEY, None)
        yield as_of_today(path, found, dataset, older, DataError, repair)


def joined_attributes(parts: Sequence[xr.Dataset], sizes: Sequence[str]) -> dict[str, Any]:
    """Attributes of the file that is joined from `parts`, which must agree in them and in their `sizes`.

    Raises:
        DataError: naming what differs.
    """
    first = parts[0]
    for part in parts[1:]:
        attributes = {*first.attrs, *part.attrs} - {"device"}
        differing = {k for k in attributes if first.attrs.get(k) != part.attrs.get(k)}
        differing |= {f"{name}s" for name in sizes if part.sizes[name] != first.sizes[name]}
        if part["class"].values.tolist() != first["class"].values.tolist():
            differing.add("classes")
        if differing:
            raise DataError(f"shards differ in {sorted(differing)}; delete them and score again")
    # A cluster may mix cards; the file then names all of them.
    devices = sorted({part.attrs["device"] for part in parts if "device" in part.attrs})
    return {**first.attrs, "device": ", ".join(devices)}


def places(found: Sequence[np.ndarray], image_ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """[I] the shard that has each image, and [I] its row there; `found` has the ids of each shard.

    Raises:
        DataError: if they are not a partition.
    """
    got = [image_id for ids in found for image_id in ids.tolist()]
    if sorted(got) != sorted(image_ids):
        raise DataError(
            f"shards hold {len(got)} images, expected the {len(image_ids)} of the split, each once"
        )
    places = {image_id: (i, row) for i, ids in enumerate(found) for row, image_id in enumerate(ids.tolist())}
    shard, row = np.array([places[image_id] for image_id in image_ids], dtype=np.int64).reshape(-1, 2).T
    return shard, row


def picked(arrays: Sequence[np.ndarray | xr.DataArray], shard: np.ndarray, row: np.ndarray) -> np.ndarray:
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
