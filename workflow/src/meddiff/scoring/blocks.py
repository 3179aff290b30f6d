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

from meddiff.diffusion.evidence import map_size
from meddiff.diffusion.stopping import cut
from meddiff.errors import DataError
from meddiff.scoring.error_file import errors_file
from meddiff.scoring.evidence_file import evidence_file, open_evidence
from meddiff.scoring.labelled_file import ImageSet, ScoredFiles
from meddiff.scoring.origin import MADE_FROM, earlier_errors, earlier_sums
from meddiff.scoring.partial_errors import PartialErrors, complete
from meddiff.scoring.partial_evidence import PartialEvidence
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
        evidence: where their evidence maps are kept; None where none are made.
    """

    rows: slice
    partial: PartialErrors
    evidence: PartialEvidence | None = None


def in_blocks(
    images: int,
    classes: int,
    folder: Path,
    save_every_seconds: float,
    stop: Callable[[], bool],
    evidence: bool = False,
) -> list[Block]:
    """So many images, in blocks.

    Args:
        folder: where the errors of blocks are kept; its name identifies what they are of.
        save_every_seconds, stop: see `PartialErrors`.
        evidence: whether evidence maps are made.

    Raises:
        CheckpointError: if a file of evidence maps is damaged.
    """
    size = max(1, _PAIRS_OF_BLOCK // classes)
    starts = range(0, images, size)
    rows = [slice(first, min(first + size, images)) for first in starts]
    return [
        Block(
            one,
            PartialErrors(folder / f"errors-{number:04d}.npy", save_every_seconds, stop),
            PartialEvidence(folder / f"evidence-{number:04d}") if evidence else None,
        )
        for number, one in enumerate(rows)
    ]


def begin_with(
    blocks: Sequence[Block], earlier: ScoredFiles | None, made_from: str, image_ids: Sequence[str]
) -> None:
    """Take over what is in the files of an earlier run, where no block has some yet.

    Args:
        blocks: of all images.
        earlier: the files, of which any may be missing.
        made_from, image_ids: see `meddiff.scoring.origin.earlier_errors`.
    """
    if not blocks or earlier is None:
        return
    no_errors = not any(block.partial.path.exists() for block in blocks)
    no_maps = not any(block.evidence for block in blocks)
    maps = earlier.evidence if blocks[0].evidence is not None and no_maps else None
    if not no_errors and (maps is None or not maps.is_file()):
        return
    if (errors := earlier_errors(earlier.errors, made_from, image_ids)) is None:
        return
    if no_errors:
        for block in blocks:
            block.partial.save(errors[block.rows])
    if maps is not None and maps.is_file():
        _take_over_maps(blocks, maps, errors, made_from, image_ids)


def _take_over_maps(
    blocks: Sequence[Block], path: Path, errors: np.ndarray, made_from: str, image_ids: Sequence[str]
) -> None:
    taken = 0
    try:
        with open_evidence(path) as file:
            if file.attrs.get(MADE_FROM) != made_from:
                return
            for block in blocks:
                rows = block.rows
                for sums in earlier_sums(file, errors[rows], image_ids[rows], 0):
                    block.evidence.save(sums, [])
                    taken += len(sums)
    except DataError as error:
        log.warning("not used: %s", error)
        return
    log.info("%s: made from the same, so %d of its maps are taken over", path, taken)


def score_to_file(
    blocks: Sequence[Block],
    passes: Passes,
    pixels: Images,
    images: ImageSet,
    settings: ScoringSettings,
    out: ScoredFiles,
    *,
    attributes: Mapping[str, Any],
    model: str,
) -> None:
    """Score images and write their files; what is there of blocks is completed.

    Args:
        blocks: of all images.
        passes, settings: see `meddiff.scoring.score.score`. With a stopping rule the file has NaN after the
            step at which an image stopped.
        pixels: uint8 [I, H, W, C], or what reads them.
        images: what is known of them.
        out: the files to write; with evidence maps if the blocks have them.
        attributes: of the files.
        model: name of the weights, for messages.

    Raises:
        Interrupted: when asked to stop; the partial result is saved.
        CheckpointError: if a file of a block is damaged or cannot be written.
        MeddiffError: if an error is not finite, or one image does not fit into memory.
    """
    used = _complete_all(blocks, passes, pixels, images.image_ids, settings, model)
    classes = len(images.class_names)
    with errors_file(out.errors, images, settings.steps, attributes) as write:
        for block in blocks:
            image_ids = images.image_ids[block.rows]
            errors = block.partial.read(len(image_ids), settings.steps, classes)
            logsnr, order = step_levels(passes.denoiser, image_ids, settings)
            if settings.stopping:
                errors = cut(errors, used[block.rows], order)
            write(block.rows.start, errors, logsnr)
    if out.evidence is None:
        return
    attributes = {**attributes, "steps": settings.steps, "space": passes.denoiser.evidence_space}
    with evidence_file(out.evidence, images, map_size(passes.denoiser), attributes) as write:
        for block in blocks:
            for row in block.evidence.rows():
                steps = used[block.rows][row]
                mean = block.evidence.total(row) / np.float32(steps)
                write(block.rows.start + row, mean[None], steps[None])


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
            evidence=block.evidence,
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
