"""How well a map finds a known region of an image (numpy and scikit-learn only).

Measures of one map against one mask, in the order of `MEASURES`:
    pointing: whether the largest value lies in the region (pointing game, Zhang et al. 2018), of several
        equal ones the share that does.
    iou: intersection over union of the region and what is above a threshold, in standard deviations of the
        map, which is chosen on the validation split.
    inside: share of the map's positive values, by size, inside the region.
    average_precision: of pixels, ranked by the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from sklearn.metrics import average_precision_score

MEASURES = ("pointing", "iou", "inside", "average_precision")
SIGMAS = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)  # of a Gaussian, in pixels of 32; scaled with the image
_SIDE = 32
THRESHOLDS = np.arange(0.25, 6.01, 0.25)


@dataclass(frozen=True)
class Reading:
    """How a map is read: chosen on validation images.

    Attributes:
        sigma: of the Gaussian that it is smoothed with, in pixels; 0 for none.
        threshold: from how many of its standard deviations on a pixel counts as found.
    """

    sigma: float
    threshold: float


def smoothed(maps: np.ndarray, sigma: float) -> np.ndarray:
    """`maps` [I, H, W] after a Gaussian of `sigma` pixels."""
    return ndimage.gaussian_filter(maps, (0, sigma, sigma), mode="nearest") if sigma else maps


def measure(maps: np.ndarray, masks: np.ndarray, reading: Reading) -> dict[str, np.ndarray]:
    """Measure -> [I] values within [0, 1].

    Args:
        maps: [I, H, W], larger where the region is believed to be.
        masks: bool [I, H, W], each with a pixel of either kind.
        reading: how maps are read.
    """
    shown = smoothed(np.asarray(maps, dtype=np.float64), reading.sigma)
    flat, inside = shown.reshape(len(shown), -1), masks.reshape(len(masks), -1)
    peak = flat.max(axis=1, keepdims=True, initial=-np.inf)
    at_peak = flat == peak
    positive = np.maximum(flat, 0)
    total = positive.sum(axis=1)
    return {
        "pointing": (at_peak & inside).sum(axis=1) / at_peak.sum(axis=1),
        "iou": _overlap(flat, inside, reading.threshold),
        "inside": np.divide(
            (positive * inside).sum(axis=1), total, out=np.zeros_like(total), where=total > 0
        ),
        "average_precision": np.array(
            [average_precision_score(one, ranked) for one, ranked in zip(inside, flat, strict=True)]
        ),
    }


def choose_reading(maps: np.ndarray, masks: np.ndarray) -> Reading:
    """The smoothing and threshold with the largest mean IoU of maps [I, H, W] of validation images."""
    scale = maps.shape[-1] / _SIDE
    inside, overlaps = masks.reshape(len(masks), -1), {}
    for sigma in (scale * sigma for sigma in SIGMAS):
        flat = smoothed(np.asarray(maps, dtype=np.float64), sigma).reshape(len(maps), -1)
        for threshold in THRESHOLDS.tolist():
            overlaps[Reading(sigma, threshold)] = _overlap(flat, inside, threshold).mean()
    return max(overlaps, key=overlaps.__getitem__)


def _overlap(flat: np.ndarray, inside: np.ndarray, threshold: float) -> np.ndarray:
    """[I] IoU of masks and what is above `threshold` standard deviations of a map, where it has any."""
    deviation = flat.std(axis=1, keepdims=True)
    found = (flat >= threshold * deviation) & (deviation > 0)
    return (found & inside).sum(axis=1) / (found | inside).sum(axis=1)
