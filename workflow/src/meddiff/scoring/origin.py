"""What an errors file says that it was made from, and whether it is what is asked for now."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from meddiff.errors import DataError
from meddiff.io import sha256_file
from meddiff.models.spec import WEIGHTS
from meddiff.scoring.error_file import open_errors
from meddiff.scoring.evidence_file import open_evidence
from meddiff.scoring.images import Shard
from meddiff.scoring.partial_evidence import ImageSum
from meddiff.scoring.settings import ScoringSettings

log = logging.getLogger("meddiff")

MADE_FROM = "made_from"
_MAP_ELEMENTS_AT_ONCE = 1 << 22
_CLOSE = 1e-4  # of the mean error: to how much the sum of a map is the difference of its errors


def origin(weights_dir: Path, shard: Shard, settings: ScoringSettings) -> dict[str, Any]:
    """Attributes of an errors file that name its weights, images and settings.

    Args:
        weights_dir: folder of the weights.
        shard: the images, or a share of them.
        settings: all but the number of steps and where images stop, which change no error.
    """
    classes = {} if shard.relabelling is None else {"relabelling": shard.relabelling.model_dump_json()}
    return {
        "weights_sha256": sha256_file(weights_dir / WEIGHTS),
        "store_sha256": sha256_file(shard.store_dir / "manifest.json"),
        **classes,
        "split": shard.split,
        "seed": settings.seed,
        "noise_levels": settings.noise_levels,
        "precision": settings.precision,
    }


def earlier_errors(path: Path | None, made_from: str, image_ids: Sequence[str]) -> np.ndarray | None:
    """The errors of images in an errors file that was made from the same weights, code, data and settings.

    Snakemake runs scoring again whenever something before it ran, also where that made the same again. In a
    restored clone there is no state folder, but there may be the errors file: it says what it was made from.

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


def earlier_sums(
    file: xr.Dataset, errors: np.ndarray, image_ids: Sequence[str], first: int
) -> Iterator[list[ImageSum]]:
    """The sums of evidence maps in a file of them, a few at a time, of those images where they fit `errors`.

    Args:
        file: from `meddiff.scoring.evidence_file.open_evidence`.
        errors: [I, S, K] of an errors file, NaN where a step was not evaluated.
        image_ids: of the I images; some may be missing in `file`.
        first: row of the first one in its block.
    """
    row = {image: number for number, image in enumerate(file["image"].values.tolist())}
    at_once = max(1, _MAP_ELEMENTS_AT_ONCE // max(1, file["evidence"][:1].size))
    for start in range(0, len(image_ids), at_once):
        here = [i for i in range(start, min(start + at_once, len(image_ids))) if image_ids[i] in row]
        if not here:
            continue
        some = np.asarray(errors[here], dtype=np.float64)
        evaluated = np.isfinite(some).all(axis=2)
        in_file = [row[image_ids[i]] for i in here]
        begin, end = min(in_file), max(in_file) + 1
        maps = file["evidence"][begin:end].values[np.array(in_file) - begin]
        used = file["steps_used"].values[in_file]
        mean = np.nansum(some, axis=1) / np.maximum(used, 1)[:, None]
        sums = maps.sum(axis=(2, 3), dtype=np.float64)
        close = np.abs(sums - (mean[:, 1:] - mean[:, :1])) <= _CLOSE * mean.mean(axis=1, keepdims=True)
        fits = (evaluated.sum(axis=1) == used) & close.all(axis=1)
        yield [
            ImageSum(first + here[i], evaluated[i], maps[i] * np.float32(used[i]))
            for i in np.flatnonzero(fits)
        ]


def check_shards(
    shards: Sequence[Path],
    weights_dir: Path,
    images: Shard,
    settings: ScoringSettings,
    evidence: bool = False,
) -> None:
    """Compare what each file of a shard says about itself with what it should have been made from.

    Args:
        shards: errors files.
        weights_dir, images, settings: see `origin`.
        evidence: whether they are files of evidence maps.

    Raises:
        DataError: naming the file and what differs.
    """
    expected = {**origin(weights_dir, images, settings), "steps": settings.steps}
    for path in shards:
        with (open_evidence if evidence else open_errors)(path) as file:
            found = {"steps": file.sizes.get("step"), **file.attrs}
        for key, value in expected.items():
            if found.get(key) != value:
                raise DataError(
                    f"{path}: was scored with {key} {found.get(key)!r}, expected {value!r}; delete it and "
                    "score again"
                )
