"""Scoring in blocks of images: memory is that of one block, however many images there are.

The errors of the block in work are in memory, those of other blocks in files of the state folder. When all
blocks are complete, they are copied into the errors file one after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.diffusion.stopping import cut
from meddiff.scoring.error_file import ImageSet, errors_file
from meddiff.scoring.partial_errors import PartialErrors, complete
from meddiff.scoring.passes import Passes
from meddiff.scoring.score import Images, step_levels
from meddiff.scoring.settings import ScoringSettings

log = logging.getLogger("meddiff")

# (image, class) pairs of a block: 16 MB of errors with 1,000 steps. Another number of steps must find the
# same blocks, so their size depends on nothing but the number of classes.
_PAIRS_OF_BLOCK = 4096


@dataclass(frozen=True)
class Block:
    """Images that are scored together.

    Attributes:
        rows: which of all.
        partial: where their errors are kept.
    """

    rows: slice
    partial: PartialErrors


def in_blocks(
    images: int, classes: int, folder: Path, save_every_seconds: float, stop: Callable[[], bool]
) -> list[Block]:
    """So many images, in blocks.

    Args:
        folder: where the errors of blocks are kept; its name identifies what they are of.
        save_every_seconds, stop: see `PartialErrors`.
    """
    size = max(1, _PAIRS_OF_BLOCK // classes)
    starts = range(0, images, size)
    rows = [slice(first, min(first + size, images)) for first in starts]
    files = [folder / f"errors-{number:04d}.npy" for number in range(len(rows))]
    return [
        Block(one, PartialErrors(file, save_every_seconds, stop))
        for one, file in zip(rows, files, strict=True)
    ]


def begin_with(blocks: Sequence[Block], earlier: Callable[[], np.ndarray | None]) -> None:
    """Save the errors [I, S, K] that `earlier` returns, if any, where no block has some yet."""
    begun = any(block.partial.path.exists() for block in blocks)
    if not blocks or begun or (errors := earlier()) is None:
        return
    for block in blocks:
        block.partial.save(errors[block.rows])


def score_to_file(
    blocks: Sequence[Block],
    passes: Passes,
    pixels: Images,
    images: ImageSet,
    settings: ScoringSettings,
    out: Path,
    *,
    attributes: Mapping[str, Any],
    model: str,
) -> None:
    """Score images and write their errors file; what is there of blocks is completed.

    Args:
        blocks: of all images.
        passes, settings: see `meddiff.scoring.score.score`. With a stopping rule the file has NaN after the
            step at which an image stopped.
        pixels: uint8 [I, H, W, C], or what reads them.
        images: what is known of them.
        out: the errors file to write.
        attributes: of the errors file.
        model: name of the weights, for messages.

    Raises:
        Interrupted: when asked to stop; the partial result is saved.
        CheckpointError: if a file of a block is damaged or cannot be written.
        MeddiffError: if an error is not finite, or one image does not fit into memory.
    """
    used = _complete_all(blocks, passes, pixels, images.image_ids, settings, model)
    classes = len(images.class_names)
    with errors_file(out, images, settings.steps, attributes) as write:
        for block in blocks:
            image_ids = images.image_ids[block.rows]
            errors = block.partial.read(len(image_ids), settings.steps, classes)
            logsnr, order = step_levels(passes.denoiser, image_ids, settings)
            if settings.stopping:
                errors = cut(errors, used[block.rows], order)
            write(block.rows.start, errors, logsnr)


def _complete_all(
    blocks: Sequence[Block],
    passes: Passes,
    pixels: Images,
    image_ids: Sequence[str],
    settings: ScoringSettings,
    model: str,
) -> np.ndarray:
    """[I] number of steps after which each image stops, when all blocks are complete."""
    used = np.full(len(image_ids), settings.steps, dtype=np.int64)
    scored = wasted = 0
    for number, block in enumerate(blocks, start=1):
        done = complete(
            block.partial,
            passes,
            _Part(pixels, block.rows.start),
            image_ids[block.rows],
            settings,
            model=model,
            precision_key="score.precision",
            description=f"scoring, block {number} of {len(blocks)}" if len(blocks) > 1 else None,
        )
        used[block.rows] = done.used
        scored, wasted = scored + done.scored, wasted + done.wasted
    if settings.stopping:
        log.info(
            "%.1f of %d steps an image were needed; of the %d (image, step) pairs scored now, %d were not",
            used.mean() if len(used) else 0.0,
            settings.steps,
            scored,
            wasted,
        )
    return used


@dataclass(frozen=True)
class _Part:
    """`images` from row `first` on."""

    images: Images
    first: int

    def __getitem__(self, rows: list[int]) -> np.ndarray:
        return self.images[[self.first + row for row in rows]]
