"""Decode image files to 8-bit grey or RGB."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from meddiff.data.decoding.pictures import FORMATS, open_picture
from meddiff.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")

_EIGHT_BIT = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
_SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}
_ORIENTATION, _UPRIGHT = ExifTags.Base.Orientation, 1
# Cameras put a small preview after the picture (MPO), which the standard says is the first one.
_PICTURE_AND_PREVIEW = "MPO"


@dataclass(frozen=True)
class Picture:
    """A picture file, read completely.

    Attributes:
        path: the file, for messages.
        image: its one frame, upright.
        turned: whether the orientation tag had it turned.
        deep_colour: it has 16 bits a channel, of which `image` has the upper eight.
    """

    path: str | os.PathLike[str]
    image: Image.Image
    turned: bool
    deep_colour: bool

    @property
    def is_deep_grey(self) -> bool:
        """Whether `image` has 16-bit values."""
        return self.image.mode in _SIXTEEN_BIT

    @property
    def peak(self) -> int:
        """The largest value, between 0 and 65535, of a picture with 16 bits a channel; 0 for others."""
        if self.is_deep_grey:
            return int(np.asarray(self.image).max())
        if self.deep_colour:
            bands = self.image.convert("RGB").getextrema()
            return max(high for _, high in bands) * 256 + 255
        return 0

    def to_8_bit(self, channels: Literal[1, 3], bits: int = 16) -> Image.Image:
        """Mode ``L`` (`channels` 1) or ``RGB`` (3).

        8-bit pictures are converted as `PIL.Image.convert` does it (palettes resolved, alpha dropped). 16-bit
        grey is scaled by 255 / (2^bits - 1) and rounded.

        Raises:
            DataError: a pixel format with no obvious 8-bit form, or a value above 2^bits - 1.
        """
        mode = "L" if channels == 1 else "RGB"
        if self.is_deep_grey:
            return _scale_to_8_bit(self.path, self.image, bits).convert(mode)
        if self.deep_colour and bits < 16:
            raise DataError(
                f"{self.path}: has 16-bit colour, of which the upper 8 bits are read, so `bits: {bits}` "
                "cannot be applied; convert it to 8-bit colour"
            )
        if self.image.mode in _EIGHT_BIT:
            try:
                return self.image.convert(mode)
            except ValueError as error:
                raise DataError(f"{self.path}: {error}; convert it to grey or RGB") from error
        raise DataError(
            f"{self.path}: pixel format {self.image.mode!r} has no fixed range; convert it to 8- or 16-bit"
        )


def read_picture(path: str | os.PathLike[str], least_side: int | None = None) -> Picture:
    """Read a file completely and turn the picture as its orientation tag (EXIF) says.

    Viewers apply the tag, so who labelled the image has seen it turned. (torchvision's loader, which the
    authors used, does not.)

    Args:
        path: the file.
        least_side: a JPEG file may be decoded to a half, a quarter or an eighth of its size, as long as no
            side becomes shorter than this, in pixels. That is faster, and after resizing nearly the same.

    Raises:
        DataError: no such file, no regular file, not an image of the formats that are read, truncated, or
            several pictures in one file.
    """
    try:
        with open_picture(path) as image:
            if getattr(image, "is_animated", False) and image.format != _PICTURE_AND_PREVIEW:
                raise DataError(
                    f"{path}: has several pictures (a {image.format} of more than one frame), and which one "
                    "is meant is not known; save that one by itself"
                )
            deep_colour = _has_deep_colour(image)
            if least_side is not None and image.format == "JPEG":
                image.draft(None, (least_side, least_side))
            # Pillow turns a TIFF by itself. Of the others the tag may come after the pixels.
            turned = image.format == "TIFF" and image.tag_v2.get(_ORIENTATION, _UPRIGHT) != _UPRIGHT
            image.load()
            if _orientation(image) != _UPRIGHT:
                turned = True
                ImageOps.exif_transpose(image, in_place=True)
            return Picture(path, image, turned, deep_colour and image.mode not in _SIXTEEN_BIT)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: is not an image that can be read ({', '.join(FORMATS)})") from error
    # Pillow's plugins report damage with whatever comes up where it is; nothing else runs in this block.
    except Exception as error:
        raise DataError(f"{path}: cannot be decoded: {error or type(error).__name__}") from error


def decode(path: str | os.PathLike[str], channels: Literal[1, 3], bits: int = 16) -> Image.Image:
    """Decode one image completely (`read_picture`), to mode ``L`` (`channels` 1) or ``RGB`` (3).

    Args:
        path: the file.
        channels: 1 grey, 3 RGB.
        bits: significant bits of 16-bit grey; white is 2^bits - 1.

    Raises:
        DataError: see `read_picture` and `Picture.to_8_bit`.
    """
    return read_picture(path).to_8_bit(channels, bits)


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether the file name ends like an image's."""
    return Path(path).suffix.lower() in SUFFIXES


def _has_deep_colour(image: Image.Image) -> bool:
    """Whether a file that is open but not read has 16 bits a channel, which Pillow names in its raw modes."""
    raw_modes = (args if isinstance(args, str) else args[0] for *_, args in image.tile if args)
    return any(isinstance(mode, str) and ";16" in mode for mode in raw_modes)


def _orientation(image: Image.Image) -> int:
    """The tag of an image whose pixels are read, since Pillow reads them otherwise to find it."""
    try:
        return image.getexif().get(_ORIENTATION, _UPRIGHT)
    except Exception:  # a damaged tag says nothing about an image that is sound itself
        return _UPRIGHT


def _scale_to_8_bit(path: str | os.PathLike[str], image: Image.Image, bits: int) -> Image.Image:
    values, white = np.asarray(image, dtype=np.float64), 2**bits - 1
    if values.max(initial=0) > white:
        raise DataError(
            f"{path}: has the value {int(values.max())}, but with `bits: {bits}` white is {white}; give the "
            "dataset more bits or mend the file"
        )
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
