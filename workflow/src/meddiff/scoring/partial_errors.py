"""Noise-prediction errors computed so far, on disk: what an interrupted scoring goes on from.

NumPy files that end with their checksum: what was changed since never reaches a result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from meddiff.diffusion.step_order import in_order
from meddiff.diffusion.stopping import stopping_steps, used_steps
from meddiff.errors import CheckpointError, Interrupted, MeddiffError
from meddiff.io import atomic_path
from meddiff.scoring.evidence_sums import begin_sums
from meddiff.scoring.partial_evidence import PartialEvidence
from meddiff.scoring.passes import Passes
from meddiff.scoring.score import Images, score, step_levels
from meddiff.scoring.settings import ScoringSettings
from meddiff.sealed_file import damage, seal

log = logging.getLogger("meddiff")


class Beside(Protocol):
    """What is saved with errors."""

    def due(self) -> bool:
        """Whether there is so much to save that it should be."""

    def save(self) -> None:
        """Save it."""


class PartialErrors:
    """The errors computed so far, on disk.

    Attributes:
        path: their file.
        beside: what is saved whenever they are, just before them; None for nothing.
    """

    def __init__(self, path: Path, save_every_seconds: float, stop: Callable[[], bool]) -> None:
        """Keep errors in `path`, a file whose name identifies what they are of.

        Args:
            save_every_seconds: how often they are saved.
            stop: asked after every batch.
        """
        self.path, self._interval, self._stop = path, save_every_seconds, stop
        # The first batch is saved at once: a place that cannot be written is found out before hours of work.
        self._saved = -float("inf")
        self._further: np.ndarray | None = None
        self.beside: Beside | None = None

    def load(self, images: int, steps: int, classes: int) -> np.ndarray:
        """What is there already, fp32 [I, S, K], to be completed and saved; NaN is missing.

        Raises:
            CheckpointError: if the file is damaged.
        """
        if not self.path.is_file():
            return np.full((images, steps, classes), np.nan, dtype=np.float32)
        earlier = self._read(images, classes)
        self._further = earlier[:, steps:].copy()
        errors = _with_steps(earlier, steps)
        done = np.isfinite(errors).all(axis=2).sum()
        log.info("%d of %d (image, step) pairs are already scored", done, images * steps)
        return errors

    def read(self, images: int, steps: int, classes: int) -> np.ndarray:
        """What was saved, fp32 [I, S, K].

        Raises:
            CheckpointError: if there is no such file, or it is damaged.
        """
        return _with_steps(self._read(images, classes), steps)

    def save(self, errors: np.ndarray) -> None:
        """Replace the file.

        Raises:
            CheckpointError: if it cannot be written.
        """
        if self.beside is not None:
            self.beside.save()
        if self._further is not None and self._further.size:  # of a run with more steps; they are kept
            errors = np.concatenate([errors, self._further], axis=1)
        try:
            with atomic_path(self.path, durable=True) as temporary:
                with open(temporary, "wb") as stream:
                    np.save(stream, errors)
                seal(temporary)
        except OSError as error:
            raise CheckpointError(f"{self.path}: partial results cannot be saved ({error})") from error

    def on_batch(self, errors: np.ndarray) -> None:
        """Save if it is time.

        Raises:
            Interrupted: if asked to stop.
        """
        stopping = self._stop()
        due = self.beside is not None and self.beside.due()
        if stopping or due or time.monotonic() - self._saved >= self._interval:
            self.save(errors)
            self._saved = time.monotonic()
        if stopping:
            raise Interrupted("stopped; run again to go on from there")

    def _read(self, images: int, classes: int) -> np.ndarray:
        try:
            problem = damage(self.path)
            earlier = None if problem else np.load(self.path, allow_pickle=False)
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be read ({error.strerror})") from error
        if earlier is None:
            raise CheckpointError(f"{self.path}: partial results, {problem}; delete it to start again")
        if earlier.ndim != 3 or (earlier.shape[0], earlier.shape[2]) != (images, classes):
            raise CheckpointError(
                f"{self.path}: is {list(earlier.shape)}, expected [{images}, steps, {classes}]; delete it to "
                "start again"
            )
        return earlier


@dataclass(frozen=True)
class Completed:
    """Complete errors, and what was done for them.

    Attributes:
        errors: fp32 [I, S, K], finite for the steps that are used.
        used: [I] number of steps after which each image stops.
        scored: number of (image, step) pairs that were evaluated.
        wasted: how many of these come after the step at which their image stops.
    """

    errors: np.ndarray
    used: np.ndarray
    scored: int
    wasted: int


def complete(
    partial: PartialErrors,
    passes: Passes,
    images: Images,
    image_ids: Sequence[str],
    settings: ScoringSettings,
    *,
    model: str,
    precision_key: str,
    evidence: PartialEvidence | None = None,
    description: str | None = None,
) -> Completed:
    """Complete the errors in `partial`, and leave them there.

    Args:
        partial: where the errors are kept.
        passes, images, image_ids, settings, description: see `meddiff.scoring.score.score`.
        model, precision_key: names of the weights and of the key that sets the precision, for a message.
        evidence: where evidence maps of the steps that are used are kept; None makes none.

    Raises:
        Interrupted: when asked to stop; the partial result is saved.
        CheckpointError: if partial results are damaged or cannot be saved.
        MeddiffError: if an error that is used is not finite, or one image does not fit into memory.
    """
    steps, rule = settings.steps, settings.stopping
    known = partial.load(len(image_ids), steps, passes.denoiser.num_classes)
    before = np.isfinite(known).all(axis=2)
    sums = None
    if evidence is not None:
        _, order = step_levels(passes.denoiser, image_ids, settings)
        partial.beside = sums = begin_sums(evidence, known, order, rule)
    scores = score(
        passes,
        images,
        image_ids,
        settings,
        errors=known,
        maps=sums,
        on_batch=partial.on_batch,
        description=description,
    )
    errors, order = scores.errors, scores.order
    used = stopping_steps(in_order(errors, order), rule) if rule else np.full(len(image_ids), steps)
    needed = used_steps(used, steps, order)
    finite = np.isfinite(errors).all(axis=2)
    if not finite[needed].all():
        raise MeddiffError(
            f"{model}: some noise-prediction errors are not finite; with {precision_key} "
            f"{settings.precision!r} try 'bf16' or 'fp32'"
        )
    new = finite & ~before
    if new.any():
        partial.save(errors)
    if sums is not None:
        sums.save()
        if (sums.steps != needed).any():
            raise CheckpointError(f"{partial.path.parent}: maps do not fit errors; delete it to start again")
        new |= sums.again & sums.steps
    return Completed(errors, used, int(new.sum()), int((new & ~needed).sum()))


def _with_steps(errors: np.ndarray, steps: int) -> np.ndarray:
    """The first `steps` of `errors` [I, S, K]; NaN where there are fewer."""
    result = np.full((errors.shape[0], steps, errors.shape[2]), np.nan, dtype=np.float32)
    result[:, : errors.shape[1]] = errors[:, :steps]
    return result
