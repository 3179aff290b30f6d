"""Weights of the training loss, as factors of the squared error of eps."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

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
    ``uniform`` is 1 (Ho et al. 2020, eq. 14), what Stable Diffusion is trained with.

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
