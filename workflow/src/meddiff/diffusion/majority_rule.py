"""Where the majority vote of an image may stop (numpy only; see `meddiff.diffusion.stopping`).

In a module of its own because validation in training uses it: a change of the other rules retrains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meddiff.diffusion.vote import Floats, Ints, ballots, running_votes


@dataclass(frozen=True)
class MajorityRule:
    """Stop when the majority of all steps is certain, or nearly.

    Attributes:
        steps: N.
        most: [N + 1] the most votes that a rival may have when it and the leader have n votes together (-1:
            none); without it only certainty counts.
        min_steps: before which no image stops, even if its majority is certain.
    """

    steps: int
    most: Ints | None = None
    min_steps: int = 1

    def wanted(self, errors: NDArray[np.floating], known: Ints) -> Ints:
        """See `meddiff.diffusion.stopping.Rule`."""
        known = np.asarray(known, dtype=np.int64)
        longest = int(known.max(initial=0))
        counts = np.zeros((errors.shape[2], len(errors), longest + 1))
        if longest:
            for own, share in zip(counts, ballots(errors[:, :longest])[1], strict=True):
                own[:, 1:] = running_votes(share)
        taken = np.arange(longest + 1)
        further = self._further(counts, taken)
        settled = (further <= 0) & (taken <= known[:, None]) & (taken >= self.min_steps)
        needed = np.maximum(known + np.maximum(further[np.arange(len(errors)), known], 1), self.min_steps)
        undecided = np.minimum(needed, self.steps)
        return np.where(settled.any(axis=1), settled.argmax(axis=1), undecided)

    def _further(self, counts: Floats, taken: Ints) -> Ints:
        """[I, n] how many more votes the leader needs at least, not above 0 where it needs none.

        `counts` are the votes [K, I, n] after `taken` [n] steps. Classes come first: operations along a last
        axis of two or three take NumPy ten times as long.
        """
        top = counts.max(axis=0)
        margin = self.steps - taken - top
        if self.most is not None:
            # `most` does not decrease: the leader needs the smallest n with most[n] >= the rival's votes.
            together = np.searchsorted(self.most, np.arange(self.steps + 1))
        led = np.zeros(top.shape, dtype=bool)
        further = np.full(top.shape, np.iinfo(np.int64).min)
        for rival in counts:
            # Certain once top + j > rival + left - j.
            needed = ((margin + rival) // 2 + 1).astype(np.int64)
            if self.most is not None:  # of whole votes: divided ones count for the rival only
                whole = np.ceil(rival).astype(np.int64)
                needed = np.minimum(needed, together[whole] - np.floor(top).astype(np.int64) - whole)
            leads = (rival == top) & ~led  # of several, the first
            led |= leads
            further = np.where(leads, further, np.maximum(further, needed))
        return further
