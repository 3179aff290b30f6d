"""In which order the steps of an image are evaluated where it may stop early (numpy only).

A step is what it is - its noise and noise level depend on its number and nothing else - but which ones come
first can be chosen. As drawn, the first few may all be at noisy or all at clean levels, where votes
go one way. In the spread order every beginning covers the levels evenly: the n-th step is the one whose rank
among the N noise levels is next in a golden-ratio sequence (Kronecker sequence; its beginnings have low
discrepancy, Niederreiter 1992, "Random Number Generation and Quasi-Monte Carlo Methods"), with a start of its
own for every image, so that over the images the beginnings favour no level.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_GOLDEN_RATIO = (math.sqrt(5.0) - 1.0) / 2.0


def spread_order(logsnr: NDArray[np.floating], seed: int, image_ids: Sequence[str]) -> Ints:
    """The steps of each image, by number, in the spread order.

    Args:
        logsnr: [I, N], of the steps; steps of one level keep their order among them.
        seed: of the scoring.
        image_ids: the I ids.

    Returns:
        [I, N], every row a permutation of 0..N-1.
    """
    steps = logsnr.shape[1]
    digests = [hashlib.blake2b(f"{seed}\0{name}\0order".encode(), digest_size=4) for name in image_ids]
    starts = np.array([int.from_bytes(digest.digest(), "little") * 2.0**-32 for digest in digests])
    sequence = (starts[:, None] + np.arange(steps) * _GOLDEN_RATIO) % 1.0
    ranks = np.argsort(np.argsort(sequence, axis=1, kind="stable"), axis=1, kind="stable")
    by_level = np.argsort(-np.asarray(logsnr), axis=1, kind="stable")
    return np.take_along_axis(by_level, ranks, axis=1)


def in_order(errors: NDArray[np.generic], order: Ints | None) -> NDArray[np.generic]:
    """`errors` [I, N, ...] with their steps in `order` [I, N]; as they are without one."""
    if order is None:
        return errors
    return errors[np.arange(len(errors))[:, None], order]


def by_number(ordered: NDArray[np.generic], order: Ints | None) -> NDArray[np.generic]:
    """Undo `in_order`."""
    return in_order(ordered, None if order is None else np.argsort(order, axis=1))
