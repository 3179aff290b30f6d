"""Find out what is wrong with one image file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from meddiff.data.decoding.dataset_images import DatasetImages
from meddiff.data.decoding.images import Picture
from meddiff.data.leaks.looks import look, pixel_hash
from meddiff.errors import DataError


@dataclass(frozen=True)
class Checked:
    """What was found out about one image.

    Attributes:
        sha256: of the file; blank where it could not be read.
        pixels: `meddiff.data.leaks.looks.pixel_hash`; blank where it could not be read.
        look: `meddiff.data.leaks.looks.look`; blank where it could not be read.
        problem: why it cannot be used.
        flaw: why it can be read, but shows nothing.
        turned: whether its orientation tag had it turned.
        peak: see `Picture.peak`.
    """

    sha256: str = ""
    pixels: str = ""
    look: str = ""
    problem: str | None = None
    flaw: str | None = None
    turned: bool = False
    peak: int = 0


def check_image(images: DatasetImages, bits: int | None, path: str) -> Checked:
    """Decode one image, and compare it with what `fetch` has recorded.

    Args:
        images: of the dataset, with what `fetch` has recorded of them.
        bits: significant bits of 16-bit grey; None for 16.
        path: canonical path.
    """
    try:
        sha256 = images.sha256(path)
        picture = images.picture(path)
        pixels = picture.to_8_bit(3, bits or 16)
        return Checked(
            sha256=sha256,
            pixels=pixel_hash(pixels),
            look=look(pixels),
            flaw=f"{path}: {flaw}" if (flaw := _flaw(picture, pixels)) else None,
            turned=picture.turned,
            peak=picture.peak,
        )
    except OSError as error:
        return Checked(problem=f"{path}: {error.strerror or error}")
    except DataError as error:
        return Checked(problem=str(error).replace(str(images.file(path)), path))


def depth_problem(peaks: list[int]) -> str | None:
    """What is wrong if all 16-bit images of a dataset that does not say its bits leave half the range empty.

    Args:
        peaks: `Picture.peak` of all images.
    """
    deep, peak = sum(value > 0 for value in peaks), max(peaks, default=0)
    if not 0 < peak < 1 << 15:
        return None
    return (
        f"the largest value of {deep} images with 16 bits a channel is {peak} of 65535, so they would be "
        f"dark: say `bits: {peak.bit_length()}` in the dataset's file, or how many bits white has, or "
        "`bits: 16` if they are meant as they are"
    )


def _flaw(picture: Picture, pixels: Image.Image) -> str | None:
    """Why a picture shows nothing; `pixels` is what is made of it, mode ``RGB``."""
    width, height = pixels.size
    if min(width, height) < 2:
        return f"is {width} x {height} pixels and shows nothing"
    if picture.is_deep_grey:
        values = np.asarray(picture.image)
        extrema = [(values.min(), values.max())]
    elif picture.image.has_transparency_data and _opacity(picture.image) == (0, 0):
        return "is transparent everywhere and shows nothing"
    else:
        extrema = pixels.getextrema()
    if all(low == high for low, high in extrema):
        return "has the same value in every pixel and shows nothing"
    return None


def _opacity(image: Image.Image) -> tuple[int, int]:
    return image.convert("RGBA").getchannel("A").getextrema()
