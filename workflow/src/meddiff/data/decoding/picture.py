"""One picture that is read, and how it becomes 8-bit grey or RGB."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from meddiff.config.schema.data.intensity import FullRange, Intensity
from meddiff.data.decoding.deep import Deep, to_8_bit
from meddiff.errors import DataError


@dataclass(frozen=True)
class Picture:
    """A picture file, read completely.

    Attributes:
        path: the file, for messages.
        image: its one frame, upright, 8 bits a channel; None where `deep` has the values.
        turned: whether the orientation tag had it turned.
        deep_colour: it has 16 bits a channel, of which `image` has the upper eight.
        deep: values of more than 8 bits, and all that DICOM files have.
        reduced: whether it was read at half of its size or less, because it is very large.
    """

    path: str | os.PathLike[str]
    image: Image.Image | None
    turned: bool
    deep_colour: bool
    deep: Deep | None = None
    reduced: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.image.size if self.deep is None else self.deep.values.shape[1::-1]

    @property
    def is_deep_grey(self) -> bool:
        """Whether it is grey with values that have to be scaled."""
        return self.deep is not None and self.deep.values.ndim == 2

    @property
    def peak(self) -> int:
        """The largest value, between 0 and 65535, of a picture with 16 bits a channel; 0 for others."""
        if self.deep is not None and self.deep.bits == 16 and not self.deep.signed:
            return int(self.deep.values.max())
        if self.deep_colour:
            bands = self.image.convert("RGB").getextrema()
            return max(high for _, high in bands) * 256 + 255
        return 0

    def to_8_bit(
        self, channels: Literal[1, 3], bits: int | None = None, intensity: Intensity | None = None
    ) -> Image.Image:
        """Mode ``L`` (`channels` 1) or ``RGB`` (3).

        8-bit pictures are converted as `PIL.Image.convert` does it (palettes resolved, alpha dropped),
        whatever `intensity` says; others are scaled by `meddiff.data.decoding.deep.to_8_bit`.

        Args:
            channels: 1 grey, 3 RGB.
            bits: significant bits of 16-bit values; 16 where not given, and what they say of DICOM files.
            intensity: the rule; a DICOM file's own window and the full range of others where not given.

        Raises:
            DataError: a pixel format with no obvious 8-bit form, a rule that cannot be applied, or a value
                above 2^bits - 1.
        """
        mode = "L" if channels == 1 else "RGB"
        image = self.image
        if self.deep is not None:
            image = Image.fromarray(to_8_bit(self.path, self.deep, bits, intensity))
        elif self.deep_colour:
            self._check_upper_bits(bits, intensity)
        if image.mode == mode:
            return image
        try:
            return image.convert(mode)
        except ValueError as error:
            raise DataError(f"{self.path}: {error}; convert it to grey or RGB") from error

    def _check_upper_bits(self, bits: int | None, intensity: Intensity | None) -> None:
        if bits is not None and bits < 16:
            raise DataError(
                f"{self.path}: has 16-bit colour, of which the upper 8 bits are read, so `bits: {bits}` "
                "cannot be applied; convert it to 8-bit colour"
            )
        if intensity is not None and not isinstance(intensity, FullRange):
            raise DataError(
                f"{self.path}: has 16-bit colour, of which the upper 8 bits are read, so `intensity: {{kind: "
                f"{intensity.kind}}}` cannot be applied; convert it to 8-bit colour, or say `intensity: "
                "{kind: full_range}`"
            )
