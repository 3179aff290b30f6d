"""The file of Grad-CAM maps of a baseline, for the true class of each image, from each of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from meddiff.errors import DataError
from meddiff.scoring.labelled_file import ImageSet, labelled_file, open_labelled

FORMAT_VERSION = 1
_REPAIR = "make it again with `meddiff gradcam`"


def write_saliency(path: str | Path, images: ImageSet, maps: Mapping[str, np.ndarray]) -> None:
    """Write maps, atomically.

    Args:
        path: the file.
        images: what is known of the I images.
        maps: layer -> fp32 [I, H, W], from the first layer to the last.
    """
    height, width = next(iter(maps.values())).shape[1:]
    sizes = {"layer": len(maps), "y": height, "x": width}
    attributes = {"layers": ",".join(maps)}
    arrays = {"saliency": ("image", "layer", "y", "x")}
    with labelled_file(path, images, arrays, sizes, attributes, FORMAT_VERSION) as file:
        for number, of_layer in enumerate(maps.values()):
            file["saliency"][:, number] = of_layer


def read_saliency(path: str | Path) -> xr.Dataset:
    """``saliency`` [image, layer, y, x], labels and groups, with the names of the layers.

    Raises:
        DataError: if it is missing, damaged, or was made by a newer meddiff.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: there is no such file; {_REPAIR}")
    with open_labelled(path, (), _REPAIR) as dataset:
        return dataset.assign_coords(layer=dataset.attrs["layers"].split(",")).load()
