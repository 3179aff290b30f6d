"""Errors of an earlier run, taken from its errors file where the state folder has none.

Snakemake runs scoring again whenever something before it ran, also where that made the same again. In a
restored clone there is no state folder, but there may be the errors file: it says what it was made from.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from meddiff.errors import DataError
from meddiff.scoring.error_file import open_errors

log = logging.getLogger("meddiff")

MADE_FROM = "made_from"


def earlier_errors(path: Path | None, made_from: str, image_ids: Sequence[str]) -> np.ndarray | None:
    """The errors of images in an errors file that was made from the same weights, code, data and settings.

    Args:
        path: the errors file; None for none.
        made_from: hash of all that errors depend on, but for the number of steps and where images stop.
        image_ids: of the images, I.

    Returns:
        fp32 [I, S, K] with the file's number of steps S, NaN where a step was not evaluated; None where
        the file is missing, damaged, made from something else, or lacks an image.
    """
    if path is None or not path.is_file():
        return None
    try:
        with open_errors(path) as file:
            if file.attrs.get(MADE_FROM) != made_from:
                return None
            row = {image: number for number, image in enumerate(file["image"].values.tolist())}
            if any(image not in row for image in image_ids):
                return None
            errors = file["errors"].values[[row[image] for image in image_ids]]
    except DataError as error:
        log.warning("not used: %s", error)
        return None
    log.info("%s: made from the same, so its errors are taken over", path)
    return errors
