"""The file of evidence maps: where in each image the noise-prediction errors of the classes differ.

A value is the mean, over the steps that an image uses, of how much worse a class predicts the noise at this
place than the first class: positive is evidence for the first class. The sum over an image is the difference
of the mean errors of the two classes (`meddiff.diffusion.evidence`). Maps of the first class against every
other one are all that is kept, since that of any two classes is the difference of theirs (`pair_map`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from meddiff.errors import DataError
from meddiff.scoring.labelled_file import (
    ImageSet,
    joined_attributes,
    labelled_file,
    open_labelled,
    picked,
    places,
)

FORMAT_VERSION = 1
_REPAIR = "delete it and run again: maps that are still in the state folder are taken over"
_ELEMENTS_AT_ONCE = 1 << 21  # of maps while joining, to bound memory

Write = Callable[[int, np.ndarray, np.ndarray], None]


@contextmanager
def evidence_file(
    path: str | Path, images: ImageSet, side: tuple[int, int], attributes: Mapping[str, Any]
) -> Iterator[Write]:
    """Write a file of evidence maps (netCDF 4) part by part, atomically.

    The block gets a function ``write(first, maps, steps_used)`` for the images from row `first` on: maps fp32
    [R, K - 1, H, W], and of how many steps they are, [R]. What is not written is NaN.

    Args:
        path: the file.
        images: the I images and K classes.
        side: H and W.
        attributes: those of the errors file, ``steps`` of the full run, and ``space``: what a place of a
            map is (`meddiff.diffusion.denoiser.Denoiser.evidence_space`).

    Raises:
        DiskError: if there is no room for it; an earlier file is left as it was.
    """
    sizes = {"other": len(images.class_names) - 1, "y": side[0], "x": side[1]}
    arrays = {"evidence": ("image", "other", "y", "x")}
    with labelled_file(path, images, arrays, sizes, attributes, FORMAT_VERSION) as file:
        file.create_variable("steps_used", ("image",), np.int64)

        def write(first: int, maps: np.ndarray, steps_used: np.ndarray) -> None:
            rows = slice(first, first + len(maps))
            file["evidence"][rows], file["steps_used"][rows] = maps, steps_used

        yield write


@contextmanager
def open_evidence(path: str | Path) -> Iterator[xr.Dataset]:
    """A file of evidence maps, of which only what is asked for is read; see `load_evidence`."""
    if not Path(path).is_file():
        raise DataError(
            f"{path}: there are no evidence maps: the run was scored without them; set `score.evidence: "
            "true` in the experiment and run again"
        )
    with open_labelled(path, (), _REPAIR) as dataset:
        yield dataset.assign_coords(other=dataset["class"].values[1:])


def load_evidence(path: str | Path) -> xr.Dataset:
    """Read a file of evidence maps into memory.

    Returns:
        ``evidence`` [image, other, y, x] of the classes ``other`` (all but the first) against the first;
        ``steps_used`` [image], ``label`` and ``group``; attributes as in `evidence_file`.

    Raises:
        DataError: if it is missing, damaged, or was made by a newer meddiff.
    """
    with open_evidence(path) as dataset:
        return dataset.load()


def pair_map(dataset: xr.Dataset, one: str, other: str) -> np.ndarray:
    """[I, H, W] the evidence for class `one` against class `other`: by how much the latter predicts worse.

    Its sum over an image is the mean error of `other` minus that of `one`.

    Args:
        dataset: from `load_evidence`, or some images of it.
        one, other: names of classes.

    Raises:
        DataError: if there is no such class.
    """
    names = dataset["class"].values.tolist()
    for name in (one, other):
        if name not in names:
            raise DataError(f"no evidence map has a class {name!r}; there are {', '.join(names)}")

    def against_first(name: str) -> np.ndarray:
        number = names.index(name)
        maps = dataset["evidence"].transpose("image", "other", "y", "x")
        return maps.values[:, number - 1] if number else np.zeros_like(maps.values[:, 0])

    return against_first(other) - against_first(one)


def gather_evidence(shards: Sequence[str | Path], image_ids: Sequence[str], out: str | Path) -> None:
    """Join files of shards into `out`, with the images in the order of `image_ids`; a few maps are in memory.

    Raises:
        DataError: if a shard is damaged, the shards were made from different weights or settings, or they are
            not a partition.
    """
    with ExitStack() as stack:
        parts = [stack.enter_context(open_evidence(path)) for path in shards]
        attributes, class_names = joined_attributes(parts, ["y", "x"]), parts[0]["class"].values
        shard, row = places([part["image"].values for part in parts], image_ids)
        labels, groups = (picked([part[n].values for part in parts], shard, row) for n in ("label", "group"))
        side = parts[0].sizes["y"], parts[0].sizes["x"]
        block = max(1, _ELEMENTS_AT_ONCE // max(1, (len(class_names) - 1) * side[0] * side[1]))
        images = ImageSet(image_ids, labels, groups, class_names)
        with evidence_file(out, images, side, attributes) as write:
            for first in range(0, len(image_ids), block):
                here = slice(first, first + block)
                maps, steps_used = (
                    picked([part[n] for part in parts], shard[here], row[here])
                    for n in ("evidence", "steps_used")
                )
                write(first, maps, steps_used)
