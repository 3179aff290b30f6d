"""How far an image is from another. Images are float [N, H, W, C] in [0, 1]."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from meddiff.explaining.metrics import CHANGED

# As in the paper of SSIM (Wang et al. 2004): Gaussian window, 11 pixels wide, and two constants.
_SIGMA, _RADIUS, _K1, _K2 = 1.5, 5, 0.01, 0.03


def l1(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[N] mean absolute difference."""
    return np.abs(images - others).mean(axis=(1, 2, 3))


def l2(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[N] root mean square difference."""
    return np.sqrt(((images - others) ** 2).mean(axis=(1, 2, 3)))


def changed_share(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[N] share of pixels whose difference, after a 3x3 mean, is larger than `CHANGED`.

    The mean is of the signed difference, averaged over channels: noise of single pixels is no change.
    """
    difference = (images - others).mean(axis=3)
    smooth = ndimage.uniform_filter(difference, size=(0, 3, 3), mode="reflect")
    return (np.abs(smooth) > CHANGED).mean(axis=(1, 2))


def ssim(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[N] structural similarity (Wang et al. 2004), averaged over channels and the window's valid positions.

    NaN where the window does not fit into the image.
    """
    if min(images.shape[1:3]) <= 2 * _RADIUS:
        return np.full(len(images), np.nan)

    def local_mean(values: np.ndarray) -> np.ndarray:
        sigmas = (0, _SIGMA, _SIGMA, 0)
        smooth = ndimage.gaussian_filter(values, sigmas, radius=(0, _RADIUS, _RADIUS, 0))
        return smooth[:, _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]

    a, b = images.astype(np.float64), others.astype(np.float64)
    mean_a, mean_b = local_mean(a), local_mean(b)
    variance_a, variance_b = local_mean(a * a) - mean_a**2, local_mean(b * b) - mean_b**2
    covariance = local_mean(a * b) - mean_a * mean_b
    c1, c2 = _K1**2, _K2**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * structure).mean(axis=(1, 2, 3))


def share_inside(images: np.ndarray, others: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """[N] share of the sum of absolute differences that is inside the masks, bool [N, H, W].

    NaN for equal images.
    """
    change = np.abs(images - others).mean(axis=3)
    total = change.sum(axis=(1, 2))
    return np.divide(
        (change * masks).sum(axis=(1, 2)), total, out=np.full(len(images), np.nan), where=total > 0
    )
