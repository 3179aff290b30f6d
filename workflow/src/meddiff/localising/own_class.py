"""Evidence for the true class of each image."""

from __future__ import annotations

import numpy as np
import xarray as xr

from meddiff.scoring.evidence_file import pair_map


def own_class_maps(dataset: xr.Dataset) -> np.ndarray:
    """[I, H, W] evidence for the true class of each image against the others, on average of these.

    The sum over an image is positive where its mean error is below the others', so that, of two classes, the
    image is decided rightly by mean error.
    """
    names, labels = dataset["class"].values.tolist(), dataset["label"].values
    maps = np.empty((len(labels), dataset.sizes["y"], dataset.sizes["x"]))
    for k, own in enumerate(names):
        rows = np.flatnonzero(labels == k)
        if len(rows):
            part = dataset.isel(image=rows)
            maps[rows] = np.mean([pair_map(part, own, other) for other in names if other != own], axis=0)
    return maps


def decided_rightly(dataset: xr.Dataset) -> np.ndarray:
    """[I] whether the true class has the lowest mean error, which the sums of the maps say."""
    sums = dataset["evidence"].transpose("image", "other", "y", "x").values.sum(axis=(2, 3), dtype=np.float64)
    against_first = np.pad(sums, ((0, 0), (1, 0)))
    return against_first.argmin(axis=1) == dataset["label"].values
