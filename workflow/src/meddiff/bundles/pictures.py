"""From what a user has (files, folders, arrays) to what a network sees, or the reason why that cannot be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from meddiff.bundles.usage import Pixels
from meddiff.config.schema.data.intensity import Conversion
from meddiff.data.decoding.checks import check_image
from meddiff.data.decoding.deep import Deep
from meddiff.data.decoding.images import is_image_file, read_picture
from meddiff.data.decoding.picture import Picture
from meddiff.data.decoding.pixels import PixelFormat
from meddiff.data.decoding.summary import conversion_problems
from meddiff.errors import DataError

# Of the side that the network sees: of a picture smaller than this, less than one pixel in 256 was measured.
_LEAST_SHARE = 16
_DEEP_MODES = {"I;16": 16, "I;16L": 16, "I;16B": 16, "I;16N": 16, "I": None, "F": None}
# Conversion -> what the image is, and what the model takes.
_REFUSED: dict[Conversion, str] = {
    "rgb_to_grey": "is in colour, and the model takes grey images; make it grey if that is what it shows",
    "grey_to_rgb": "is grey, and the model takes colour images",
    "cmyk_to_rgb": "has printing colours (CMYK), which are known approximately only; save it as RGB",
    "drop_alpha": "is transparent in places, and what is behind is not known; save it without transparency",
}
_NO_WINDOW = (
    "is a DICOM file without a window of its own: its lowest value was made black and its highest white, "
    "which may be unlike the images that the model knows; put WindowCenter and WindowWidth into the file if "
    "they are known"
)

Given = str | os.PathLike[str] | np.ndarray | Image.Image


@dataclass(frozen=True)
class Input:
    """One image that was asked about.

    Attributes:
        name: the file as it was given, or ``image 3`` of what came without a name.
        pixels: uint8 [size, size, channels], as the network sees it; None where it was refused.
        refused: why it was; blank where it was not.
        note: what had to be assumed of it; blank where nothing had to be.
    """

    name: str
    pixels: np.ndarray | None
    refused: str = ""
    note: str = ""

    @property
    def image_id(self) -> str:
        """What the noise depends on where no id is given: a hash of what the network sees.

        So an image has the same answer under every name and in every format that keeps its values.
        """
        shape = " ".join(map(str, self.pixels.shape))
        digest = hashlib.blake2b(f"{shape} ".encode() + self.pixels.tobytes(), digest_size=8)
        return f"pixels-{digest.hexdigest()}"


def listed(images: Given | Iterable[Given]) -> list[Given]:
    """What was given, with the images of each folder (and those below it) in its place, each file once."""
    alone = isinstance(images, str | os.PathLike | np.ndarray | Image.Image)
    found: list[Given] = []
    seen: set[Path] = set()
    for one in [images] if alone else images:
        if not isinstance(one, str | os.PathLike):
            found.append(one)
            continue
        inside = sorted(filter(is_image_file, Path(one).rglob("*"))) if Path(one).is_dir() else []
        for path in inside or [Path(one)]:
            if path not in seen:
                seen.add(path)
                found.append(path)
    return found


def read(images: Sequence[Given], pixels: Pixels) -> Iterator[Input]:
    """Read images one by one, and check that the model can take each.

    Args:
        images: files; arrays, uint8 [H, W] or [H, W, 3], or uint16 [H, W]; or pictures of Pillow.
        pixels: what they are made into.
    """
    for number, one in enumerate(images, start=1):
        name = os.fspath(one) if isinstance(one, str | os.PathLike) else f"image {number}"
        try:
            seen, note = _pixels(name, one, pixels)
            yield Input(name, seen, note=note)
        except DataError as error:
            # Of images of a dataset, which have rows in a table, the same is said.
            yield Input(name, None, str(error).replace("leave its row out", "leave it out"))


def _pixels(name: str, given: Given, pixels: Pixels) -> tuple[np.ndarray, str]:
    """What the network sees of one image, and a note of what had to be assumed for that.

    Raises:
        DataError: if it cannot be read, or the model cannot take it.
    """
    wanted = PixelFormat(**pixels.model_dump(exclude={"convert", "intensity"}), intensity=pixels.intensity)
    try:
        picture = _picture(name, given, wanted.least_side)
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from error
    checked = check_image(_One(picture), pixels, name)
    if reason := checked.problem or checked.flaw:
        raise DataError(reason)
    for conversion in get_args(Conversion):
        others = tuple(one for one in get_args(Conversion) if one != conversion)
        needed = conversion_problems(pixels.model_copy(update={"convert": others}), [name], [checked])
        if needed and conversion not in pixels.convert:
            raise DataError(
                f"{name}: {_REFUSED[conversion]} (its dataset's `convert` does not have `{conversion}`)"
            )
    if min(picture.size) * _LEAST_SHARE < pixels.size:
        width, height = picture.size
        raise DataError(
            f"{name}: is too small: {width} x {height} pixels, and the model sees {pixels.size} x "
            f"{pixels.size}, most of which would be made up; give the image in its own size"
        )
    return wanted.of(picture), _NO_WINDOW if "no window" in checked.traits else ""


def _picture(name: str, given: Given, least_side: int | None) -> Picture:
    if isinstance(given, str | os.PathLike):
        if Path(given).is_dir():
            raise DataError(f"{name}: the folder has no image (JPEG, PNG, BMP, TIFF, GIF, WebP, DICOM)")
        return read_picture(given, least_side)
    if isinstance(given, Image.Image):
        if given.mode in _DEEP_MODES:
            return Picture(name, None, False, False, Deep(np.asarray(given), bits=_DEEP_MODES[given.mode]))
        return Picture(name, given, turned=False, deep_colour=False)
    values = np.asarray(given)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.dtype == np.uint16 and values.ndim == 2:
        return Picture(name, None, False, False, Deep(values, bits=16))
    if values.dtype == np.uint8 and (values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 3)):
        return Picture(name, Image.fromarray(values), turned=False, deep_colour=False)
    raise DataError(
        f"{name}: is an array of {values.dtype} {list(values.shape)}; expected uint8 [H, W] or [H, W, 3], or "
        "uint16 [H, W]"
    )


class _One:
    """One picture that is read, as `meddiff.data.decoding.dataset_images.DatasetImages` has many."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def file(self, path: str) -> Path:
        """See there."""
        return Path(path)

    def reading(self, path: str, least_side: int | None = None) -> AbstractContextManager[Picture]:
        """See there."""
        return nullcontext(self._picture)

    def sha256(self, path: str) -> str:
        """Nothing is recorded of it that it could be compared with."""
        return ""
