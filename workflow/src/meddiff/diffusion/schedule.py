"""Noise schedule: time t in [0, 1] to log signal-to-noise ratio, and signal and noise scales."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST_TAN = 1e-20


@dataclass(frozen=True)
class ShiftedCosineSchedule:
    """Shifted cosine schedule of simple diffusion (Hoogeboom et al. 2023, eq. 3), as the authors code it.

    The shift ln(noise_size / image_size) enters twice: once in each end point and once, doubled, in
    the value. The end points therefore drift away from `logsnr_min` and `logsnr_max` by three shifts
    (10.84 and -19.16 for 64 / 256).

    Attributes:
        image_size: image side in pixels (the image's, not the wavelet's).
        noise_size: side at which no shift would be needed.
        logsnr_max, logsnr_min: end points before the shift.
    """

    image_size: int
    noise_size: int
    logsnr_max: float = 15.0
    logsnr_min: float = -15.0

    def logsnr(self, t: Tensor) -> Tensor:
        """Log signal-to-noise ratio at `t` (any shape, values in [0, 1]); falls with t. Same shape, fp32."""
        shift = math.log(self.noise_size / self.image_size)
        start = math.atan(math.exp(-0.5 * (self.logsnr_max + shift)))
        end = math.atan(math.exp(-0.5 * (self.logsnr_min + shift)))
        tan = torch.tan(start + t.float() * (end - start)).clamp(min=_SMALLEST_TAN)
        return -2.0 * torch.log(tan) + 2.0 * shift


def alpha_sigma(logsnr: Tensor, dims: int = 4) -> tuple[Tensor, Tensor]:
    """Scales of signal and noise in z = alpha x + sigma eps (variance preserving).

    Args:
        logsnr: [N].
        dims: number of dimensions of the tensors the scales multiply.

    Returns:
        alpha = sqrt(sigmoid(logsnr)) and sigma = sqrt(sigmoid(-logsnr)), each [N, 1, 1, ...].
    """
    shape = (-1,) + (1,) * (dims - 1)
    return torch.sigmoid(logsnr).sqrt().reshape(shape), torch.sigmoid(-logsnr).sqrt().reshape(shape)
