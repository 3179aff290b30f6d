"""How far images, and sets of images, are from each other.

Images are float [N, H, W, C] in [0, 1]; sets are features [N, D].
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, ndimage

# As in the paper of SSIM (Wang et al. 2004): Gaussian window, 11 pixels wide, and two constants.
_SIGMA, _RADIUS, _K1, _K2 = 1.5, 5, 0.01, 0.03
CHANGED = 0.05  # of the range, for a pixel to count as changed


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


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    """Fréchet distance of the two Gaussians with the sets' means and covariances (Heusel et al. 2017).

    Args:
        features, others: [N, D] and [M, D]; more images than dimensions, or a covariance is singular.
    """
    mean = features.mean(axis=0) - others.mean(axis=0)
    a, b = np.atleast_2d(np.cov(features, rowvar=False)), np.atleast_2d(np.cov(others, rowvar=False))
    # The eigenvalues of a product of two positive semidefinite matrices are real and not negative; the
    # trace of its square root is the sum of their roots.
    roots = np.sqrt(np.clip(linalg.eigvals(a @ b).real, 0.0, None))
    return float(mean @ mean + np.trace(a) + np.trace(b) - 2.0 * roots.sum())


class KernelDistance:
    """Unbiased squared maximum mean discrepancy of two sets with weighted images.

    The kernel is KID's, (x . y / D + 1)^3 (Bińkowski et al. 2018). With weights of 1 the value is KID's on
    all images; a bootstrap resample is a row of weights, and pairs of an image with itself never count,
    however often it was drawn.
    """

    def __init__(self, features: np.ndarray, others: np.ndarray) -> None:
        """Compute the kernels of [N, D] and [M, D] features, N and M at least 2."""
        dimensions = features.shape[1]

        def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return (x.astype(np.float64) @ y.astype(np.float64).T / dimensions + 1.0) ** 3

        self._within = kernel(features, features), kernel(others, others)
        for matrix in self._within:
            np.fill_diagonal(matrix, 0.0)
        self._between = kernel(features, others)

    def __call__(self, weights: np.ndarray, other_weights: np.ndarray) -> np.ndarray:
        """[B] values for weights [B, N] and [B, M]; NaN where a set has fewer than two different images."""
        total = np.zeros(len(weights))
        for matrix, w in zip(self._within, (weights, other_weights), strict=True):
            pairs = w.sum(axis=1) ** 2 - (w**2).sum(axis=1)
            sums = ((w @ matrix) * w).sum(axis=1)
            total += np.divide(sums, pairs, out=np.full(len(w), np.nan), where=pairs > 0)
        crossing = ((weights @ self._between) * other_weights).sum(axis=1)
        return total - 2.0 * crossing / (weights.sum(axis=1) * other_weights.sum(axis=1))
