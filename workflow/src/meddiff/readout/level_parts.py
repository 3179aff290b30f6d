"""How much of a decision by mean error comes from which noise levels (numpy only)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def even_edges(logsnr: NDArray[np.floating], bands: int) -> NDArray[np.float64]:
    """[bands - 1] edges between bands of logSNR that hold equally many of the steps, in ascending order."""
    return np.quantile(np.asarray(logsnr, dtype=np.float64), np.arange(1, bands) / bands)


def parts_by_level(
    errors: NDArray[np.floating], logsnr: NDArray[np.floating], edges: Sequence[float]
) -> NDArray[np.float64]:
    """The differences between the mean errors of classes, divided among bands of noise levels.

    Args:
        errors: [I, S, K], NaN where a class was not evaluated; steps with all classes count.
        logsnr: [I, S].
        edges: B - 1 logSNRs between bands, in ascending order; a level on an edge belongs to the band above.

    Returns:
        [I, K - 1, B], from the noisiest band to the cleanest: the mean error of each class from 1 on minus
        that of class 0 is the sum over the bands. NaN for an image without a step.
    """
    difference = np.asarray(errors[..., 1:], dtype=np.float64) - np.asarray(errors[..., :1], dtype=np.float64)
    counts = np.isfinite(errors).all(axis=2)
    steps = counts.sum(axis=1)[:, None]
    band = np.searchsorted(edges, logsnr, side="right")
    parts = [
        np.where((counts & (band == b))[..., None], difference, 0.0).sum(axis=1)
        for b in range(len(edges) + 1)
    ]
    with np.errstate(invalid="ignore"):
        return np.stack(parts, axis=-1) / steps[..., None]
