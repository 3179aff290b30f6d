"""Scoring in blocks of images: memory is that of one block, however many images there are.

The errors of the block in work are in memory, those of other blocks in files of the state folder. When all
blocks are done, they are copied into the errors file one after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.step_order import spread_order
from meddiff.diffusion.stopping import Rule, cut
from meddiff.scoring.error_file import errors_file
from meddiff.scoring.partial_errors import PartialErrors
from meddiff.scoring.resumed import resumed_score
from meddiff.scoring.score import Images, passes_in_parts, step_logsnr

log = logging.getLogger("meddiff")

# (image, class) pairs of a block: 16 MB of errors with 1,000 steps. Another number of steps must find the
# same blocks, so their size depends on nothing but the number of classes.
_PAIRS_OF_BLOCK = 4096


@dataclass(frozen=True)
class LabelledImages:
    """What is scored.

    Attributes:
        images: uint8 [I, H, W, C], or what reads them.
        image_ids: I ids, unique.
        labels: int [I].
        groups: I patient or lesion ids.
        class_names: K names.
    """

    images: Images
    image_ids: Sequence[str]
    labels: np.ndarray
    groups: Sequence[str]
    class_names: Sequence[str]

    def __len__(self) -> int:
        return len(self.image_ids)


@dataclass(frozen=True)
class _Part:
    """`images` from row `first` on."""

    images: Images
    first: int

    def __getitem__(self, rows: list[int]) -> np.ndarray:
        return self.images[[self.first + row for row in rows]]


def score_to_file(
    denoiser: Denoiser,
    data: LabelledImages,
    out: Path,
    folder: Path,
    attributes: Mapping[str, Any],
    *,
    seed: int,
    steps: int,
    noise_levels: str,
    batch_size: int,
    precision: str,
    model: str,
    rule: Rule | None = None,
    spread: bool = False,
    earlier: Callable[[], np.ndarray | None] = lambda: None,
    save_every_seconds: float = 600.0,
    stop: Callable[[], bool],
) -> None:
    """Score images and write their errors file; what `folder` has of them is taken over and completed.

    Args:
        denoiser: on the device to compute on.
        data: the images.
        out: the errors file to write.
        folder: where the errors of blocks are kept; its name identifies what they are of.
        attributes: of the errors file.
        seed, steps, noise_levels, batch_size, precision: see `meddiff.scoring.score.score`.
        model: name of the weights, for messages.
        rule: where images stop; the file has NaN after that.
        spread: whether steps are evaluated in the spread order (`meddiff.diffusion.step_order`).
        earlier: asked for errors [I, S, K] to begin with, where `folder` has none.
        save_every_seconds: how often partial results are saved.
        stop: asked after every batch.

    Raises:
        Interrupted: when asked to stop; the partial result is saved.
        CheckpointError: if a file in `folder` is damaged or cannot be written.
        MeddiffError: if an error is not finite, or one image does not fit into memory.
    """
    blocks = list(_blocks(len(data), len(data.class_names)))
    used = np.full(len(data), steps, dtype=np.int64)
    scored = wasted = 0
    in_parts = passes_in_parts(denoiser, batch_size)
    files = [PartialErrors(_block_file(folder, n), save_every_seconds, stop) for n in range(len(blocks))]
    if blocks and not any(file.path.exists() for file in files) and (errors := earlier()) is not None:
        for file, rows in zip(files, blocks, strict=True):
            file.save(errors[rows])

    def levels_of(rows: slice) -> tuple[np.ndarray, np.ndarray | None]:
        """LogSNR of the steps of a block, and their order."""
        ids = data.image_ids[rows]
        logsnr = step_logsnr(denoiser, ids, seed=seed, steps=steps, levels=noise_levels)
        return logsnr, spread_order(logsnr, seed, ids) if spread else None

    for number, rows in enumerate(blocks):
        block = resumed_score(
            denoiser,
            _Part(data.images, rows.start),
            data.image_ids[rows],
            files[number],
            seed=seed,
            steps=steps,
            levels=noise_levels,
            batch_size=batch_size,
            in_parts=in_parts,
            precision=precision,
            rule=rule,
            order=levels_of(rows)[1] if spread else None,
            model=model,
            setting="score.precision",
            description="scoring" if len(blocks) == 1 else f"scoring, block {number + 1} of {len(blocks)}",
        )
        used[rows] = block.used
        scored, wasted = scored + block.scored, wasted + block.wasted
    if rule:
        log.info(
            "%.1f of %d steps an image were needed; of the %d (image, step) pairs scored now, %d were not",
            used.mean() if len(used) else 0.0,
            steps,
            scored,
            wasted,
        )
    with errors_file(
        out, data.image_ids, data.labels, data.groups, data.class_names, steps, attributes
    ) as write:
        for number, rows in enumerate(blocks):
            images = rows.stop - rows.start
            errors = files[number].read(images, steps, len(data.class_names))
            logsnr, order = levels_of(rows)
            write(rows.start, cut(errors, used[rows], order) if rule else errors, logsnr)


def _blocks(images: int, classes: int) -> Iterator[slice]:
    size = max(1, _PAIRS_OF_BLOCK // classes)
    for first in range(0, images, size):
        yield slice(first, min(first + size, images))


def _block_file(folder: Path, number: int) -> Path:
    return folder / f"errors-{number:04d}.npy"
