"""Decode image files to 8-bit grey or RGB."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from meddiff.config.schema.data.intensity import Intensity
from meddiff.data.decoding.deep import Deep
from meddiff.data.decoding.dicom import (
    DICOM_SUFFIXES,
    DicomFile,
    has_dicom_content,
    has_dicom_name,
    open_dicom,
)
from meddiff.data.decoding.picture import Picture
from meddiff.data.decoding.pictures import FORMATS, open_picture
from meddiff.data.decoding.turns import Turns
from meddiff.errors import DataError
from meddiff.io import regular_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp", *DICOM_SUFFIXES)

_SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}
_SAMPLE_FORMAT = 339
_ORIENTATION, _UPRIGHT = ExifTags.Base.Orientation, 1
# Cameras put a small preview after the picture (MPO), which the standard says is the first one.
_PICTURE_AND_PREVIEW = "MPO"
# JPEG files of more pixels are read at half, a quarter or an eighth of their size, whichever is the first
# below: this is what Pillow by itself warns of, and no store is larger than 4096 x 4096.
_READ_SMALLER = 89_478_485
# Of all threads together, in pixels: as many as some mammograms have.
_TURNS = Turns(1 << 27)


@contextmanager
def reading(path: str | os.PathLike[str], least_side: int | None = None) -> Iterator[Picture]:
    """Read a file completely and turn the picture as its orientation tag (EXIF) says.

    Viewers apply the tag, so who labelled the image has seen it turned. (torchvision's loader, which the
    authors used, does not.) While threads have pictures in this way, large ones wait for each other.

    Args:
        path: the file.
        least_side: a JPEG file may be decoded to a half, a quarter or an eighth of its size, as long as no
            side becomes shorter than this, in pixels. That is faster, and after resizing nearly the same.

    Args:
        path: the file.
        least_side: a JPEG file may be decoded to a half, a quarter or an eighth of its size, as long as no
            side becomes shorter than this, in pixels. That is faster, and after resizing nearly the same.

    Raises:
        DataError: no such file, no regular file, not an image of the formats that are read, truncated,
            several pictures in one file, or larger than `pictures.MOST_PIXELS`.
    """
    with ExitStack() as stack:
        with _damage_named(path):
            file = _opened(path)
            if isinstance(file, Image.Image):
                stack.enter_context(file)
            stack.enter_context(_TURNS.of(file.width * file.height))
            picture = _load(path, file, least_side) if isinstance(file, Image.Image) else _load_dicom(file)
        yield picture


def read_picture(path: str | os.PathLike[str], least_side: int | None = None) -> Picture:
    """As `reading`, where one picture is needed and no other thread has any."""
    with reading(path, least_side) as picture:
        return picture


def decode(
    path: str | os.PathLike[str],
    channels: Literal[1, 3],
    bits: int | None = None,
    intensity: Intensity | None = None,
) -> Image.Image:
    """Decode one image completely (`reading`), to mode ``L`` (`channels` 1) or ``RGB`` (3).

    Args:
        path: the file.
        channels: 1 grey, 3 RGB.
        bits: see `Picture.to_8_bit`.
        intensity: likewise.

    Raises:
        DataError: see `reading` and `Picture.to_8_bit`.
    """
    with reading(path) as picture:
        return picture.to_8_bit(channels, bits, intensity)


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether the file name ends like an image's."""
    return Path(path).suffix.lower() in SUFFIXES


def is_image_file(file: Path) -> bool:
    """Whether a file is one: by its ending, or where it has none if it begins as DICOM files do."""
    if is_image(file):
        return True
    if not has_dicom_name(file) or file.name.upper() == "DICOMDIR":
        return False
    try:
        regular_file(file)
        return has_dicom_content(file)
    except (OSError, DataError):
        return False


def is_listed_image(path: str | os.PathLike[str]) -> bool:
    """Whether a file that `fetch` has listed is an image, of which those without an ending are DICOM."""
    return is_image(path) or has_dicom_name(path)


def without_ending(path: str) -> str:
    """A path without the ending of its name; the number at the end of a UID is none."""
    whole = PurePosixPath(path)
    return str(whole if whole.suffix[1:].isdigit() else whole.with_suffix(""))


@contextmanager
def _damage_named(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except UnidentifiedImageError as error:
        formats = ", ".join((*FORMATS, "DICOM"))
        raise DataError(
            f"{path}: is not an image that can be read ({formats}), or an unusual kind of these; save it as "
            "PNG, or leave its row out"
        ) from error
    # Pillow's plugins and pydicom report damage with whatever comes up where it is; nothing else runs in this
    # block.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: cannot be decoded: {reason}") from error


def _opened(path: str | os.PathLike[str]) -> Image.Image | DicomFile:
    """A file whose header is read."""
    regular_file(path)
    if has_dicom_content(path):
        return open_dicom(path)
    try:
        return open_picture(path)
    except UnidentifiedImageError:
        if not has_dicom_name(path):
            raise
        try:
            found = open_dicom(path)
        except DataError:
            raise
        except Exception:  # it has no beginning that says what it is
            found = None
        if found is None:
            raise
        return found


def _load(path: str | os.PathLike[str], image: Image.Image, least_side: int | None) -> Picture:
    if getattr(image, "is_animated", False) and image.format != _PICTURE_AND_PREVIEW:
        raise DataError(
            f"{path}: has several pictures (a {image.format} of more than one frame), and which one "
            "is meant is not known; save that one by itself"
        )
    deep_colour = _has_deep_colour(image)
    # Pillow turns a TIFF by itself. Of the others the tag may come after the pixels.
    tags = image.tag_v2 if image.format == "TIFF" else {}
    turned = tags.get(_ORIENTATION, _UPRIGHT) != _UPRIGHT
    reduced = False
    if image.format in ("JPEG", _PICTURE_AND_PREVIEW):
        reduced = _decode_in_part(image, least_side)
    image.load()
    if _orientation(image) != _UPRIGHT:
        turned = True
        ImageOps.exif_transpose(image, in_place=True)
    found = _deep_grey(image, tags)
    if found is not None:
        return Picture(path, None, turned, False, found)
    return Picture(path, image, turned, deep_colour, reduced=reduced)


def _decode_in_part(image: Image.Image, least_side: int | None) -> bool:
    """Have an open JPEG file decoded to a part of its size; whether that is because it is very large."""
    whole = image.size
    if least_side is not None and image.format == "JPEG":
        image.draft(None, (least_side, least_side))
    if image.size != whole:
        return False
    divisor = next(d for d in (1, 2, 4, 8) if whole[0] * whole[1] <= _READ_SMALLER * d * d)
    if divisor > 1:
        image.draft(None, (whole[0] // divisor, whole[1] // divisor))
    return image.size != whole


def _deep_grey(image: Image.Image, tags: Mapping[int, Any]) -> Deep | None:
    """Values of grey of more than 8 bits, of an image whose pixels are read; None of others."""
    white_is_zero = tags.get(ExifTags.Base.PhotometricInterpretation) == 0  # Pillow heeds it of 8 bits only
    if image.mode in _SIXTEEN_BIT:
        return Deep(np.asarray(image), bits=16, inverted=white_is_zero)
    if image.mode not in ("I", "F"):
        return None
    values = np.asarray(image)
    unsigned = tags.get(_SAMPLE_FORMAT, (1,)) == (1,)
    if image.mode == "I" and unsigned and tags.get(ExifTags.Base.BitsPerSample) == (32,):
        values = values.view(np.uint32)  # Pillow reads them as signed
    return Deep(values, bits=None, inverted=white_is_zero)


def _load_dicom(file: DicomFile) -> Picture:
    deep = file.read()
    if deep.values.ndim == 3 and deep.values.dtype == np.uint8 and deep.bits == 8:
        return Picture(file.path, Image.fromarray(deep.values), False, False)
    return Picture(file.path, None, False, False, deep)


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
