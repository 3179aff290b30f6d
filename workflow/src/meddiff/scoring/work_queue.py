"""Which (image, step) pairs are evaluated next: the order of work in scoring."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from meddiff.scoring.settings import Stopping

_ROWS_AT_ONCE = 1024


class WorkQueue:
    """Hands out pairs until every image has the steps it needs.

    Images are taken in their order. As many steps of an image are handed out at once as it certainly needs;
    an image that is decided leaves, and the next one enters. Only when what the images left certainly need
    does not fill a batch are further steps added, evenly over these images: some of these turn out
    not to have been needed.
    """

    def __init__(
        self, errors: np.ndarray, stopping: Stopping | None = None, again: NDArray[np.bool_] | None = None
    ) -> None:
        """Begin with what is missing.

        Args:
            errors: [I, S, K], NaN where not evaluated; the caller writes results into it.
            stopping: None where every image needs all steps.
            again: [I, S] pairs that are handed out where they are needed although their errors are known.
        """
        self._errors, self._stopping = errors, stopping
        self._unknown = np.isnan(errors).any(axis=2)
        self._missing = self._unknown if again is None else self._unknown | again
        self._wanted = np.full(len(errors), errors.shape[1])
        self._open = np.ones(len(errors), dtype=bool)
        self._decided = np.zeros(len(errors), dtype=bool)
        for start in range(0, len(errors), _ROWS_AT_ONCE):
            self._look(np.arange(start, min(start + _ROWS_AT_ONCE, len(errors))))

    def batches(self, size: int, fill: int | None = None) -> Iterator[NDArray[np.int64]]:
        """Yield pairs [P, 2] of image row and step, P <= `size`; the caller evaluates them before the next.

        Args:
            size: largest number of pairs.
            fill: number of pairs up to which steps are added that may not be needed; `size` if not given.
        """
        # Every open image certainly needs a step, so more of them than pairs need not be looked at.
        while images := np.flatnonzero(self._open)[:size].tolist():
            pairs = self._certain(images, size)
            if self._stopping is not None:
                undecided = [row for row in images if not self._decided[row]]
                pairs += self._possible(undecided, min(size, fill or size) - len(pairs))
            batch = np.array(pairs, dtype=np.int64)
            yield batch
            self._missing[batch[:, 0], batch[:, 1]] = False
            self._unknown[batch[:, 0], batch[:, 1]] = False
            self._look(np.unique(batch[:, 0]))

    def missing(self) -> int:
        """How many pairs were not handed out yet, needed or not."""
        return int(self._missing.sum())

    def runs(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """[R] lengths of runs of `pairs` [P, 2]: an image's needed ones together, others one by one."""
        needed = self.needed(pairs)
        begins = (np.diff(pairs[:, 0]) != 0) | ~needed[1:] | ~needed[:-1]
        return np.diff(np.concatenate([[0], 1 + np.flatnonzero(begins), [len(pairs)]]))

    def needed(self, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """[P] whether `pairs` [P, 2] are certainly needed, by what is known."""
        return pairs[:, 1] < self._wanted[pairs[:, 0]]

    def steps_needed(self, row: int) -> int | None:
        """How many steps an image needs, when all of them have been handed out; None before."""
        return None if self._open[row] else int(self._wanted[row])

    def _certain(self, images: list[int], size: int) -> list[tuple[int, int]]:
        pairs: list[tuple[int, int]] = []
        for row in images:
            steps = np.flatnonzero(self._missing[row, : self._wanted[row]])
            pairs += [(row, int(step)) for step in steps[: size - len(pairs)]]
            if len(pairs) == size:
                break
        return pairs

    def _possible(self, images: list[int], size: int) -> list[tuple[int, int]]:
        pairs: list[tuple[int, int]] = []
        share = -(-size // max(1, len(images)))
        for row in images:
            if len(pairs) >= size:
                break
            first = self._wanted[row]
            steps = first + np.flatnonzero(self._missing[row, first:])
            pairs += [(row, int(step)) for step in steps[: min(share, size - len(pairs))]]
        return pairs

    def _look(self, rows: np.ndarray) -> None:
        """Ask how many steps `rows` need, and close those that have them."""
        unknown, steps = self._unknown[rows], self._unknown.shape[1]
        known = np.where(unknown.any(axis=1), unknown.argmax(axis=1), steps)
        if self._stopping is not None:
            self._wanted[rows] = self._stopping.wanted(self._errors[rows], known)
            # An error that is not finite cannot be repaired by more steps; the caller reports it.
            broken = (~unknown & ~np.isfinite(self._errors[rows]).all(axis=2)).any(axis=1)
            self._wanted[rows[broken]] = 0
        self._decided[rows] = self._wanted[rows] <= known
        within = np.arange(steps) < self._wanted[rows, None]
        self._open[rows] = (self._missing[rows] & within).any(axis=1)
