"""Noise-prediction errors: what a diffusion classifier decides by (paper, algorithm 1)."""

from __future__ import annotations

from torch import Tensor

from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.noise import classification_noise, noise_levels
from meddiff.diffusion.schedule import alpha_sigma


def step_residuals(denoiser: Denoiser, x: Tensor, keys: Tensor, steps: Tensor, levels: str) -> Tensor:
    """Residuals of one classification step of each image, whose noise and noise level are drawn for it.

    Args:
        denoiser: in eval mode.
        x: encoded images, [N, C, H, W].
        keys: int64 [N, 2], one an image (`meddiff.diffusion.noise.noise_keys`).
        steps: int64 [N], which step of its image.
        levels: ``uniform``, ``low_discrepancy`` or ``antithetic`` (`meddiff.diffusion.noise.noise_levels`).

    Returns:
        fp32 [K, N, C, H, W], see `residuals`.
    """
    t = noise_levels(keys, steps, levels)
    eps = classification_noise(keys, steps, x.shape[1:], levels)
    return residuals(denoiser, x, t, eps)


def residuals(denoiser: Denoiser, x: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """What the predicted noise of every class lacks of the noise, which is the same for all of them.

    Args:
        denoiser: in eval mode.
        x: encoded images, [N, C, H, W].
        t: [N], times in [0, 1].
        eps: shape of `x`.

    Returns:
        fp32 [K, N, C, H, W]: eps_hat_k - eps.
    """
    logsnr = denoiser.schedule.logsnr(t)
    alpha, sigma = alpha_sigma(logsnr, x.ndim)
    z = alpha * x + sigma * eps
    eps_hat = denoiser.eps_from_output(denoiser.for_all_classes(z, logsnr), z, logsnr)
    return eps_hat - eps


def squared_errors(residuals: Tensor) -> Tensor:
    """The errors [N, K] of `residuals` [K, N, C, H, W]: squared L2 norms, not weighted."""
    return residuals.square().flatten(2).sum(dim=2).T


def classification_errors(denoiser: Denoiser, x: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """Squared error of the predicted noise for every class, fp32 [N, K]; arguments as in `residuals`."""
    return squared_errors(residuals(denoiser, x, t, eps))
