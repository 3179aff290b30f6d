"""Sums of evidence maps while images are scored: only those of images in work are in memory.

A map counts once its step is certainly among those that its image uses. With a stopping rule batches are
filled with steps that may not be: their maps wait until this is known.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np

from meddiff.diffusion.step_order import in_order
from meddiff.diffusion.stopping import used_steps
from meddiff.scoring.partial_evidence import ImageSum, PartialEvidence
from meddiff.scoring.passes import Work
from meddiff.scoring.settings import Stopping
from meddiff.scoring.work_queue import WorkQueue

log = logging.getLogger("meddiff")

_MOST_BYTES_UNSAVED = 1 << 26
_ROWS_AT_ONCE = 1024


@dataclass
class _InWork:
    """An image in work.

    Attributes:
        total: float64 [K - 1, H, W], since hundreds of maps are added.
        waiting: pairs, numbers of steps, and the sum of the maps of these.
    """

    total: np.ndarray
    waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)


class EvidenceSums:
    """Adds up the maps of the steps that images use, and keeps what is complete on disk.

    Attributes:
        again: bool [I, S] steps, by number, whose maps are missing although their errors are known.
        steps: bool [I, S] whose maps are in the sum of their image.
    """

    def __init__(self, partial: PartialEvidence, steps: np.ndarray, again: np.ndarray) -> None:
        """Go on from `partial`, as `begin_sums` found it."""
        self.again, self.steps, self._partial = again, steps, partial
        self._in_work: dict[int, _InWork] = {}
        self._complete: list[ImageSum] = []

    def add(self, work: Work, steps: np.ndarray, maps: np.ndarray) -> None:
        """Take the sums [R, K - 1, H, W] over the runs of a batch, whose pairs are of `steps` [P]."""
        ends = np.cumsum(work.runs)
        for start, end, total in zip(ends - work.runs, ends, maps, strict=True):
            row = int(work.pairs[start, 0])
            if row not in self._in_work:
                known = self.steps[row].any()
                begun = self._partial.total(row) if known else np.zeros(maps.shape[1:])
                self._in_work[row] = _InWork(begun.astype(np.float64))
            self._in_work[row].waiting.append((work.pairs[start:end], steps[start:end], total))

    def settle(self, queue: WorkQueue) -> None:
        """Ask which of what was taken counts, and which images are complete."""
        for row, image in list(self._in_work.items()):
            waiting = []
            for pairs, steps, total in image.waiting:
                if queue.needed(pairs).all():
                    image.total += total
                    self.steps[row, steps] = True
                else:
                    waiting.append((pairs, steps, total))
            image.waiting = waiting
            if self.steps[row].sum() == queue.steps_needed(row):
                self._complete.append(self._sum(row))
                del self._in_work[row]

    def due(self) -> bool:
        """Whether there is so much to save that it should be."""
        return sum(one.total.nbytes for one in self._complete) > _MOST_BYTES_UNSAVED

    def save(self) -> None:
        """Save all sums.

        Raises:
            CheckpointError: if they cannot be written.
        """
        in_work = [self._sum(row) for row in self._in_work if self.steps[row].any()]
        self._partial.save(self._complete, in_work)
        self._complete = []

    def _sum(self, row: int) -> ImageSum:
        return ImageSum(row, self.steps[row].copy(), self._in_work[row].total.astype(np.float32))


def begin_sums(
    partial: PartialEvidence, errors: np.ndarray, order: np.ndarray | None, stopping: Stopping | None
) -> EvidenceSums:
    """What there is of the maps of images, compared with what there is of their errors.

    A sum cannot be undone: where it has a step that is not certainly used, or whose error is not known, it
    is begun anew. Where it lacks a step whose error is known, that step is evaluated again.

    Args:
        partial: the maps.
        errors: [I, S, K], NaN where not known.
        order: [I, S] order of the steps, None by number.
        stopping: None where every image needs all steps.
    """
    images, steps = errors.shape[:2]
    known = np.isfinite(errors).all(axis=2)
    needed, decided = _needed(errors, order, stopping)
    certain = used_steps(needed, steps, order)
    within, beyond = partial.steps(images, steps)
    anew = beyond | (within & ~(certain & known)).any(axis=1)
    within[anew] = False
    again = known & ~within & (certain | ~decided[:, None])
    if again.any():
        log.info(
            "evidence maps: %d (image, step) pairs of %d images are evaluated again, since their errors are "
            "known and their maps are not; %d images had maps of other steps",
            again.sum(),
            again.any(axis=1).sum(),
            anew.sum(),
        )
    return EvidenceSums(partial, within, again)


def _needed(
    errors: np.ndarray, order: np.ndarray | None, stopping: Stopping | None
) -> tuple[np.ndarray, np.ndarray]:
    """[I] how many steps each image certainly needs, and whether it needs no more."""
    ordered = in_order(errors, order)
    images, steps = errors.shape[:2]
    unknown = ~np.isfinite(ordered).all(axis=2)
    first = np.where(unknown.any(axis=1), unknown.argmax(axis=1), steps)
    needed = np.full(images, steps)
    if stopping is not None:
        for start in range(0, images, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            needed[rows] = stopping.wanted(ordered[rows], first[rows])
    return needed, needed <= first
