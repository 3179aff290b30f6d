"""Noise-prediction errors: what a diffusion classifier decides by (paper, algorithm 1)."""

from __future__ import annotations

from torch import Tensor

from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.noise import classification_noise, noise_levels
from meddiff.diffusion.schedule import alpha_sigma


def step_errors(denoiser: Denoiser, x: Tensor, keys: Tensor, steps: Tensor, levels: str) -> Tensor:
    """Errors of one classification step of each image, whose noise and noise level are drawn for it.

    Args:
        denoiser: in eval mode.
        x: encoded images, [N, C, H, W].
        keys: int64 [N, 2], one an image (`meddiff.diffusion.noise.noise_keys`).
        steps: int64 [N], which step of its image.
        levels: ``uniform``, ``low_discrepancy`` or ``antithetic`` (`meddiff.diffusion.noise.noise_levels`).

    Returns:
        fp32 [N, K], see `classification_errors`.
    """
    t = noise_levels(keys, steps, levels)
    eps = classification_noise(keys, steps, x.shape[1:], levels)
    return classification_errors(denoiser, x, t, eps)


def classification_errors(denoiser: Denoiser, x: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """Squared error of the predicted noise for every class, with the same noise for all of them.

    Args:
        denoiser: in eval mode.
        x: encoded images, [N, C, H, W].
        t: [N], times in [0, 1].
        eps: shape of `x`.

    Returns:
        fp32 [N, K]: squared L2 norm of eps_hat_c - eps, not weighted.
    """
    logsnr = denoiser.schedule.logsnr(t)
    alpha, sigma = alpha_sigma(logsnr, x.ndim)
    z = alpha * x + sigma * eps
    eps_hat = denoiser.eps_from_output(denoiser.for_all_classes(z, logsnr), z, logsnr)
    return (eps_hat - eps).square().flatten(2).sum(dim=2).T
