"""Find out what is wrong with one image file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops

from meddiff.config.dataset_slices import ValidateParams
from meddiff.config.schema.data.intensity import FullRange
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.decoding.dataset_images import DatasetImages
from meddiff.data.decoding.images import Picture
from meddiff.data.leaks.looks import look, pixel_hash
from meddiff.errors import DataError

# Channels of a grey film that was saved as a colour JPEG differ by rounding.
_TINT = 8


@dataclass(frozen=True)
class Checked:
    """What was found out about one image.

    Attributes:
        sha256: of the file; blank where it could not be read.
        pixels: `meddiff.data.leaks.looks.pixel_hash`; blank where it could not be read.
        look: `meddiff.data.leaks.looks.look`; blank where it could not be read.
        problem: why it cannot be used.
        flaw: why it can be read, but shows nothing.
        traits: what is worth counting, of `meddiff.data.decoding.summary`.
        peak: `Picture.peak` where nothing says how many bits white has, else 0.
    """

    sha256: str = ""
    pixels: str = ""
    look: str = ""
    problem: str | None = None
    flaw: str | None = None
    traits: frozenset[str] = frozenset()
    peak: int = 0


def check_image(images: DatasetImages, dataset: DatasetConfig | ValidateParams, path: str) -> Checked:
    """Decode one image, and compare it with what `fetch` has recorded.

    Args:
        images: of the dataset, with what `fetch` has recorded of them.
        dataset: its `bits` and `intensity` are used.
        path: canonical path.
    """
    try:
        sha256 = images.sha256(path)
        with images.reading(path) as picture:
            pixels = picture.to_8_bit(3, dataset.bits, dataset.intensity)
            flaw, traits = _flaw(picture, pixels)
            deep = picture.deep
            by_bits = deep is None or isinstance(deep.rule(dataset.intensity), FullRange)
            return Checked(
                sha256=sha256,
                pixels=pixel_hash(pixels),
                look=look(pixels),
                flaw=f"{path}: {flaw}" if flaw else None,
                traits=traits | _traits(picture, pixels, dataset),
                peak=picture.peak if dataset.bits is None and by_bits else 0,
            )
    except OSError as error:
        return Checked(problem=f"{path}: {error.strerror or error}")
    except DataError as error:
        return Checked(problem=str(error).replace(str(images.file(path)), path))


def depth_problems(paths: Sequence[str], checked: Sequence[Checked]) -> list[str]:
    """What is wrong if all 16-bit images of a dataset that does not say its bits leave half the range empty.

    Args:
        paths: of the images.
        checked: what was found out about each.
    """
    deep = [path for path, c in zip(paths, checked, strict=True) if c.peak > 0]
    peak = max((c.peak for c in checked), default=0)
    if not 0 < peak < 1 << 15:
        return []
    return [
        f"the largest value of {len(deep)} images with 16 bits a channel is {peak} of 65535 (the first is "
        f"{deep[0]}), so they would be dark: say `bits: {peak.bit_length()}` in the dataset's file, or how "
        "many bits white has, or `bits: 16` if they are meant as they are"
    ]


def _traits(picture: Picture, pixels: Image.Image, dataset: DatasetConfig | ValidateParams) -> set[str]:
    """What is worth counting; `pixels` is what is made of it, mode ``RGB``."""
    deep, image = picture.deep, picture.image
    found = {
        "turned": picture.turned,
        "reduced": picture.reduced,
        "colour": not picture.is_deep_grey and _is_colour(pixels),
        "cmyk": image is not None and image.mode == "CMYK",
        "translucent": image is not None and image.has_transparency_data and _opacity(image)[0] < 255,
        "inverted": deep is not None and deep.inverted,
        "no window": deep is not None and deep.by_its_range(dataset.intensity),
        "8 bits": deep is None and not picture.deep_colour,
    }
    return {trait for trait, there in found.items() if there}


def _is_colour(pixels: Image.Image) -> bool:
    red, green, blue = pixels.split()
    pairs = ((red, green), (green, blue), (blue, red))
    return any(ImageChops.difference(*pair).getextrema()[1] > _TINT for pair in pairs)


def _flaw(picture: Picture, pixels: Image.Image) -> tuple[str | None, set[str]]:
    """Why a picture shows nothing, and of which kind that is; `pixels` is made of it, mode ``RGB``."""
    width, height = pixels.size
    if min(width, height) < 2:
        return f"is {width} x {height} pixels and shows nothing", {"one row of pixels"}
    shades = pixels.getextrema()
    if picture.is_deep_grey:
        low, high = picture.deep.values.min(), picture.deep.values.max()
        if low != high and shades[0][0] == shades[0][1]:
            text = f"has values from {low:g} to {high:g} that all become {shades[0][0]} of 255"
            return f"{text} by the dataset's `intensity` or `bits`, and shows nothing", {"one value"}
    elif picture.image is not None and _is_transparent(picture.image):
        return "is transparent everywhere and shows nothing", {"transparent"}
    if any(low != high for low, high in shades):
        return None, set()
    kind = {0: "black", 255: "white"}.get(shades[0][0]) if len(set(shades)) == 1 else None
    which = f" ({kind})" if kind else ""
    return f"has the same value in every pixel{which} and shows nothing", {kind or "one value"}


def _is_transparent(image: Image.Image) -> bool:
    return image.has_transparency_data and _opacity(image) == (0, 0)


def _opacity(image: Image.Image) -> tuple[int, int]:
    return image.convert("RGBA").getchannel("A").getextrema()
