"""Which noise levels a decision by mean error comes from."""

from __future__ import annotations

import numpy as np

BANDS = 5


def band_edges(logsnr: np.ndarray) -> np.ndarray:
    """[BANDS - 1] inner edges of bands of logSNR that hold equally many steps, ascending."""
    return np.quantile(np.asarray(logsnr, dtype=np.float64), np.arange(1, BANDS) / BANDS)


def band_parts(difference: np.ndarray, logsnr: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """What each band of noise levels adds to the mean difference in error of two classes.

    Args:
        difference: [I, S] of each step, NaN where it was not evaluated.
        logsnr: [I, S].
        edges: [B - 1] ascending.

    Returns:
        [I, B], from the noisiest band to the clearest; they sum to the mean over the evaluated steps.
    """
    difference = np.asarray(difference, dtype=np.float64)
    known = np.isfinite(difference)
    band = np.searchsorted(edges, logsnr, side="right")
    per_band = [np.where(known & (band == b), difference, 0.0).sum(axis=1) for b in range(len(edges) + 1)]
    return np.stack(per_band, axis=1) / known.sum(axis=1, keepdims=True)
