"""What denoisers of images have in common: the Haar transform, and the shifted cosine schedule."""

from __future__ import annotations

from torch import Tensor

from meddiff.config.schema.kinds.pixels import PixelModel
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.haar import haar_transform, haar_transform_of_pixels, inverse_haar_transform
from meddiff.diffusion.schedule import ShiftedCosineSchedule


class PixelDenoiser(Denoiser):
    """A denoiser of images, or of their one-level Haar transform, on the shifted cosine schedule."""

    def __init__(self, config: PixelModel, num_classes: int, channels: int, image_size: int) -> None:
        shape = (channels, image_size, image_size)
        if config.wavelet:
            shape = (4 * channels, image_size // 2, image_size // 2)
        schedule = ShiftedCosineSchedule(**config.schedule.model_dump())
        super().__init__(num_classes, shape, config.prediction, schedule)
        self.wavelet = config.wavelet

    def encode(self, images: Tensor) -> Tensor:
        return haar_transform(images) if self.wavelet else images

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        return haar_transform_of_pixels(pixels) if self.wavelet else super().encode_pixels(pixels)

    def decode(self, x: Tensor) -> Tensor:
        return inverse_haar_transform(x) if self.wavelet else x

    def residual_image(self, residuals: Tensor) -> Tensor:
        # `haar_transform` is half the orthonormal one.
        return inverse_haar_transform(residuals).div_(2) if self.wavelet else residuals
