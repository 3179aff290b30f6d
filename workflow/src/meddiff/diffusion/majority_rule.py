"""Where the majority vote of an image may stop (numpy only; see `meddiff.diffusion.stopping`).

In a module of its own because validation in training uses it: a change of the other rules retrains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meddiff.diffusion.vote import votes

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class MajorityRule:
    """Stop when the majority of all steps is certain, or nearly.

    Attributes:
        steps: N.
        most: [N + 1] the most votes that a rival may have when it and the leader have n votes together (-1:
            none); without it only certainty counts.
    """

    steps: int
    most: Ints | None = None

    def wanted(self, errors: NDArray[np.floating], known: Ints) -> Ints:
        """See `meddiff.diffusion.stopping.Rule`."""
        known = np.asarray(known, dtype=np.int64)
        longest = int(known.max(initial=0))
        counts = np.zeros((len(errors), longest + 1, errors.shape[2]), dtype=np.int64)
        if longest:
            winner, _ = votes(errors[:, :longest])
            counts[:, 1:] = (winner[..., None] == np.arange(errors.shape[2])).cumsum(axis=1)
        further = self._further(counts, np.arange(longest + 1))
        rows = np.arange(len(errors))
        settled = (further <= 0) & (np.arange(longest + 1) <= known[:, None])
        undecided = np.minimum(known + np.maximum(further[rows, known], 1), self.steps)
        return np.where(settled.any(axis=1), settled.argmax(axis=1), undecided)

    def _further(self, counts: Ints, taken: Ints) -> Ints:
        """[I, n] how many more votes the leader needs at least, not above 0 where it needs none.

        Args:
            counts: [I, n, K] votes after `taken` [n] steps.
        """
        top = counts.max(axis=-1, keepdims=True)
        left = self.steps - taken[:, None]
        # Certain once top + j > rival + left - j.
        needed = (left + counts - top) // 2 + 1
        if self.most is not None:
            # `most` does not decrease: the leader needs the smallest n with most[n] >= the rival's votes.
            together = np.searchsorted(self.most, np.arange(self.steps + 1))[counts]
            needed = np.minimum(needed, together - top - counts)
        leader = counts.argmax(axis=-1)[..., None]
        np.put_along_axis(needed, leader, np.iinfo(np.int64).min, axis=-1)
        return needed.max(axis=-1)
