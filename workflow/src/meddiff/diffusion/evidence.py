"""Where in an image the noise-prediction errors of two classes differ.

An error is a squared norm, and so a sum over pixels: the difference between the errors of two classes is the
sum of a map. An orthonormal transform keeps norms, so a residual may be taken back through one before it is
squared (`Denoiser.residual_image`), and the map of a denoiser of Haar coefficients is one of pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoiser


def evidence_maps(denoiser: Denoiser, residuals: Tensor) -> Tensor:
    """How much worse each class predicts the noise than class 0, pixel by pixel.

    With R_k the residual of class k as an image, this is |R_k|^2 - |R_0|^2, summed over channels. It is
    positive where class 0 predicts better, which is evidence for class 0. Its sum over pixels is the
    error of class k minus that of class 0. The map of class j against k is the difference of theirs.

    Args:
        denoiser: whose residuals these are.
        residuals: eps_hat_k - eps of K classes, [K, N, C, H, W] (`meddiff.diffusion.errors.residuals`).

    Returns:
        [N, K - 1, height, width] of the classes from 1 on, in pixels of `Denoiser.residual_image`.
    """
    first, others = residuals[:1], residuals[1:]
    # a^2 - b^2 = (a - b) (a + b): the errors' difference is small beside them, and so are its roundings.
    difference, total = (
        denoiser.residual_image(both.flatten(0, 1)) for both in (others - first, others + first)
    )
    return (difference * total).sum(dim=1).unflatten(0, others.shape[:2]).transpose(0, 1)


def map_size(denoiser: Denoiser) -> tuple[int, int]:
    """Height and width of its `evidence_maps`."""
    nothing = torch.zeros(1, *denoiser.input_shape, device=next(denoiser.parameters()).device)
    height, width = denoiser.residual_image(nothing).shape[-2:]
    return height, width
