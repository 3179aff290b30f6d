"""The contract that every conditional diffusion model meets, whatever network is inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from meddiff.diffusion.pixels import to_unit_range
from meddiff.diffusion.schedule import Schedule, alpha_sigma, eps_from_v, x_from_eps, x_from_v


class Denoiser(nn.Module, ABC):
    """A network that predicts the noise in z = alpha x + sigma eps, given its class.

    Class ids run from 0 to ``num_classes - 1``; ``null_class = num_classes`` is the unconditional one,
    used in training (label dropout) and guidance, never in classification.

    Attributes:
        num_classes: number of classes K.
        input_shape: (channels, height, width) of x, after `encode`.
        prediction: what the network's output is.
        schedule: noise levels of classification and sampling.
        is_compiled: whether inputs of another shape cost a compilation.
        x_bound: largest absolute value of x, or None where x has no bound (a latent space).
        evidence_space: what a place of `residual_image` is: a ``pixel`` of the image, or of a ``latent``.
    """

    x_bound: float | None = 1.0
    evidence_space: Literal["pixel", "latent"] = "pixel"

    def __init__(
        self,
        num_classes: int,
        input_shape: tuple[int, int, int],
        prediction: Literal["v_prediction", "epsilon"],
        schedule: Schedule,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.null_class = num_classes
        self.input_shape = input_shape
        self.prediction = prediction
        self.schedule = schedule
        self.is_compiled = False

    @abstractmethod
    def forward(self, z: Tensor, logsnr: Tensor, class_ids: Tensor) -> Tensor:
        """What the network predicts: v or eps, by `prediction`.

        Args:
            z: [N, *input_shape].
            logsnr: [N].
            class_ids: int64 [N], 0 to K (K is the null class).
        """

    def for_all_classes(self, z: Tensor, logsnr: Tensor) -> Tensor:
        """What `forward` returns for each of the K classes, [K, N, *input_shape].

        Here the classes are stacked in the batch; a subclass may compute once what they have in common.

        Args:
            z: [N, *input_shape].
            logsnr: [N].
        """
        classes, n = self.num_classes, len(z)
        class_ids = torch.arange(classes, device=z.device).repeat_interleave(n)
        stacked = self(torch.cat([z] * classes), logsnr.repeat(classes), class_ids)
        return stacked.unflatten(0, (classes, n))

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """torch.compile `forward` and `for_all_classes` in place; arguments as for ``nn.Module.compile``."""
        super().compile(*args, **kwargs)
        self.is_compiled = True
        self.for_all_classes = torch.compile(self.for_all_classes, *args, **kwargs)

    def predict_eps(self, z: Tensor, logsnr: Tensor, class_ids: Tensor) -> Tensor:
        """The predicted noise, fp32, shape of `z`; arguments as in `forward`."""
        return self.eps_from_output(self(z, logsnr, class_ids), z, logsnr)

    def eps_from_output(self, output: Tensor, z: Tensor, logsnr: Tensor) -> Tensor:
        """The predicted noise, fp32, from an output of `forward` or `for_all_classes` for (`z`, `logsnr`)."""
        output = output.float()
        if self.prediction == "epsilon":
            return output
        alpha, sigma = alpha_sigma(logsnr.float(), z.ndim)
        return eps_from_v(output, z.float(), alpha, sigma)

    def x_from_output(self, output: Tensor, z: Tensor, logsnr: Tensor) -> Tensor:
        """Turn what `forward` returned for (`z`, `logsnr`) into the predicted image, fp32."""
        alpha, sigma = alpha_sigma(logsnr.float(), z.ndim)
        convert = x_from_eps if self.prediction == "epsilon" else x_from_v
        return convert(output.float(), z.float(), alpha, sigma)

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Images in [-1, 1], [N, C, H, W], to the space the diffusion runs in, [N, *input_shape]."""

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Like `encode`, for images as they are stored: uint8 [N, H, W, C]."""
        return self.encode(to_unit_range(pixels))

    @abstractmethod
    def decode(self, x: Tensor) -> Tensor:
        """Undo `encode`: images [N, C, H, W], not clamped."""

    def residual_image(self, residuals: Tensor) -> Tensor:
        """Residuals of the noise, [N, *input_shape], as images of `evidence_space`.

        Linear, and it keeps the norm of each residual: where images are transformed, this is the inverse
        of that transform, scaled to be orthonormal.
        """
        return residuals

    def encode_for_training(self, images: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
        """Like `encode`, or `encode_pixels` for uint8; a stochastic encoder draws from (`keys`, `steps`)."""
        return self.encode_pixels(images) if images.dtype == torch.uint8 else self.encode(images)

    def training_logsnr(self, t: Tensor) -> Tensor:
        """Noise levels of training at `t` in [0, 1); those of `schedule` unless said otherwise."""
        return self.schedule.logsnr(t)

    def plain_parameters(self) -> set[str]:
        """Names of parameters that get neither EMA nor gradient clipping (none, except as published)."""
        return set()
