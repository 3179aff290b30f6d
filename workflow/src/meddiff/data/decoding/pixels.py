"""What images are made into: grey or RGB, square, 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from meddiff.config.schema.data.intensity import Intensity
from meddiff.config.schema.dataset import Decoding
from meddiff.data.decoding.images import Picture

Geometry = Literal["squash", "crop"]

# Half of what is decoded is then left for the filter of `resize`: what a JPEG decoder's own reduction does to
# the pixels is small.
_MARGIN = 2


@dataclass(frozen=True)
class PixelFormat:
    """What images are made into: grey or RGB, then `size` x `size`.

    Attributes:
        size: side in pixels.
        channels: 1 grey, 3 RGB.
        geometry: see `resize`.
        bits: significant bits of 16-bit values (`Picture.to_8_bit`).
        decoding: ``full``, or ``reduced``: a JPEG file of at least four times `size` is decoded to a half, a
            quarter or an eighth of its size, but at least twice `size`.
        intensity: how values of more than 8 bits become 8 (`Picture.to_8_bit`).
    """

    size: int
    channels: Literal[1, 3]
    geometry: Geometry = "squash"
    bits: int | None = None
    decoding: Decoding = "full"
    intensity: Intensity | None = None

    @property
    def least_side(self) -> int | None:
        """The side in pixels that has to be decoded; None for all there is (`reading`)."""
        return _MARGIN * self.size if self.decoding == "reduced" else None

    def of(self, picture: Picture) -> np.ndarray:
        """uint8 [size, size, channels] of a picture.

        Raises:
            DataError: if it has no form of 8 bits (`Picture.to_8_bit`).
        """
        image = picture.to_8_bit(self.channels, self.bits, self.intensity)
        return resize(image, self.size, self.geometry)


def resize(image: Image.Image, size: int, geometry: Geometry = "squash") -> np.ndarray:
    """Bring an image to uint8 [size,size,C] with Pillow's antialiased bilinear filter.

    Args:
        image: any size.
        size: side in pixels.
        geometry: ``squash`` does not keep the aspect ratio (torchvision's ``Resize((size, size))`` of a PIL
            image); ``crop`` keeps it and cuts the middle out (``Resize(size)``, then ``CenterCrop(size)``).
    """
    if geometry == "crop":
        short = min(image.size)
        scaled = [int(size * side / short) for side in image.size]
        left, top = (round((side - size) / 2) for side in scaled)
        image = image.resize(scaled, Image.Resampling.BILINEAR)
        pixels = np.asarray(image.crop((left, top, left + size, top + size)))
    else:
        pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    return pixels if pixels.ndim == 3 else pixels[..., None]
