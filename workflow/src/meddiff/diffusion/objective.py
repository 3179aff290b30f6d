"""The training objective of diffusion models: a weighted squared error of the predicted noise."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.noise import STREAM_EPS, STREAM_LABEL_DROPOUT, STREAM_T, normal, uniform
from meddiff.diffusion.schedule import alpha_sigma

SNR_CLAMP = 5.0


def loss_weight(
    logsnr: Tensor,
    kind: Literal["min_snr", "official", "uniform"],
    prediction: Literal["v_prediction", "epsilon"] = "v_prediction",
) -> Tensor:
    """Weight w(logSNR) of ||eps_hat - eps||^2.

    ``min_snr`` is Min-SNR-5 (Hang et al. 2023, section 3.4): the weight min(SNR, 5) of the squared
    error of x, which in eps units is min(SNR, 5) / SNR whatever the network predicts.
    ``official`` is the authors' code: 1 / (1 + min(SNR, 5)) for v, 1 / min(SNR, 5) for eps.
    ``uniform`` is 1 (Ho et al. 2020, eq. 14).

    Args:
        logsnr: any shape.

    Returns:
        The weight, same shape, positive.
    """
    if kind == "uniform":
        return torch.ones_like(logsnr, dtype=torch.float32)
    snr = logsnr.float().exp()
    clamped = snr.clamp(max=SNR_CLAMP)
    if kind == "min_snr":
        return clamped / snr
    return 1.0 / (1.0 + clamped) if prediction == "v_prediction" else 1.0 / clamped


def diffusion_loss(
    denoiser: Denoiser, x: Tensor, class_ids: Tensor, t: Tensor, eps: Tensor, weight: str
) -> Tensor:
    """Weighted squared error of the predicted noise, one value an image.

    Args:
        denoiser: the network (or a wrapper with the same call).
        x: encoded images, [N, C, H, W].
        class_ids: int64 [N].
        t: [N], times in [0, 1].
        eps: the noise, shape of `x`.
        weight: ``min_snr``, ``official`` or ``uniform`` (`loss_weight`).

    Returns:
        [N], fp32: w(logSNR) times the mean over all elements of (eps_hat - eps)^2.
    """
    logsnr = denoiser.training_logsnr(t)
    alpha, sigma = alpha_sigma(logsnr, x.ndim)
    eps_hat = denoiser.predict_eps(alpha * x + sigma * eps, logsnr, class_ids)
    squared_error = (eps_hat - eps).square().flatten(1).mean(dim=1)
    return loss_weight(logsnr, weight, denoiser.prediction) * squared_error


def training_loss(
    denoiser: Denoiser,
    images: Tensor,
    class_ids: Tensor,
    keys: Tensor,
    steps: Tensor,
    *,
    label_dropout: float,
    weight: str,
) -> Tensor:
    """Loss of one batch with its noise drawn from (`keys`, `steps`).

    Args:
        images: fp32 [N, C, H, W] in [-1, 1], or as they are stored, uint8 [N, H, W, C].
        class_ids: int64 [N].
        keys: int64 [N, 2], one key a position of the global batch.
        steps: int64 [N], the optimizer step.
        label_dropout: probability with which each label is replaced by the null class.
        weight: as in `diffusion_loss`.

    Returns:
        [N], fp32.
    """
    x = denoiser.encode_for_training(images, keys, steps)
    t = uniform(keys, steps, 1, STREAM_T)[:, 0]
    eps = normal(keys, steps, x.shape[1:], STREAM_EPS)
    dropped = uniform(keys, steps, 1, STREAM_LABEL_DROPOUT)[:, 0] < label_dropout
    class_ids = class_ids.masked_fill(dropped, denoiser.null_class)
    return diffusion_loss(denoiser, x, class_ids, t, eps, weight)
