"""A network that costs nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.schedule import ShiftedCosineSchedule


class ScaledInput(Denoiser):
    """Predicts a multiple of its input, another one for every class."""

    def __init__(self, side: int, factors: Sequence[float]) -> None:
        """Take grey images of `side` px.

        Args:
            factors: of the K classes and of none, K + 1.
        """
        schedule = ShiftedCosineSchedule(image_size=side, noise_size=side)
        super().__init__(len(factors) - 1, (1, side, side), "epsilon", schedule)
        self.factors = nn.Parameter(torch.tensor(factors))

    def forward(self, z: Tensor, logsnr: Tensor, class_ids: Tensor) -> Tensor:
        """`z` [N, 1, H, W], scaled."""
        return z * self.factors[class_ids].reshape(-1, 1, 1, 1)

    def encode(self, images: Tensor) -> Tensor:
        """Images as they are."""
        return images

    def decode(self, x: Tensor) -> Tensor:
        """The image as it is."""
        return x
