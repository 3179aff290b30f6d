"""The noise schedule: from time t in [0, 1] to noise level, and between image x, noise eps, z and v.

With z = alpha x + sigma eps and alpha^2 + sigma^2 = 1, Salimans & Ho (2022, section 4) define
v = alpha eps - sigma x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_SMALLEST_TAN = 1e-20


class Schedule(Protocol):
    """Maps time to noise level."""

    def logsnr(self, t: Tensor) -> Tensor:
        """LogSNR, fp32, at `t` in [0, 1], falling with t; same shape."""


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


def v_from_x_eps(x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """v = alpha eps - sigma x."""
    return alpha * eps - sigma * x


def eps_from_v(v: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """eps = sigma z + alpha v."""
    return sigma * z + alpha * v


def x_from_v(v: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x = alpha z - sigma v."""
    return alpha * z - sigma * v


def x_from_eps(eps: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x = (z - sigma eps) / alpha; ill-conditioned where alpha is near 0."""
    return (z - sigma * eps) / alpha
