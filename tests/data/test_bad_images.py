"""Image files that cannot be used: each message names the file, what was expected and how to mend it."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG2MPML, UID

from dicom_samples import REAL, dicom, lookup_table, write_dicom
from meddiff.data.validate import validate_dataset
from meddiff.errors import DataError

RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 256, (20, 24), dtype=np.uint8)
RGB = RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)
FILM = RNG.integers(0, 4096, (20, 24)).astype(np.uint16)
FILM[0, :2] = 0, 4095
FLOAT = RNG.normal(size=(20, 24)).astype(np.float32)
NAN = np.where(GREY > 250, np.nan, FLOAT).astype(np.float32)
PERCENTILE = {"kind": "percentile"}

Content = bytes | Callable[[Path], None]


def saved(image: Image.Image | np.ndarray, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(stream, kind, **options)
    return stream.getvalue()


def dicom_file(values: np.ndarray = FILM, **elements: Any) -> Callable[[Path], None]:
    return lambda path: write_dicom(path, values, **elements)


def dicom_of_syntax(uid: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        dataset = dicom(FILM)
        dataset.file_meta.TransferSyntaxUID = UID(uid)
        dataset.PixelData = encapsulate([bytes(100)])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path, enforce_file_format=True, implicit_vr=False, little_endian=True)

    return write


def png_that_claims(width: int, height: int, bits: int = 8, colour: int = 0, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


DEEP_COLOUR = png_that_claims(2, 2, 16, 2, (b"\0" + struct.pack(">6H", 0, 1, 4095, 256, 512, 65535)) * 2)
TIFF_S16 = saved(Image.fromarray(FILM.astype(np.int32) - 2000), "TIFF")
ANIMATED = {"save_all": True, "append_images": [Image.fromarray(255 - GREY)]}
TRANSLUCENT = np.dstack([RGB, np.full((20, 24), 128, np.uint8)])

# name of the file, its content, what the dataset says, and what the message must say
CASES: dict[str, tuple[str, Content, dict[str, Any], list[str]]] = {
    "12 bits of 16": ("x.png", saved(FILM, "PNG"), {}, ["is 4095 of 65535", "dark", "`bits: 12`"]),
    "more bits than said": (
        "x.png",
        saved(FILM, "PNG"),
        {"bits": 10},
        ["has the value 4095", "`bits: 10` white is 1023", "more bits"],
    ),
    "all white by a window": (
        "x.png",
        saved(FILM + 5000, "PNG"),
        {"intensity": {"kind": "window", "center": 40.0, "width": 400.0}},
        ["values from 5000 to 9095", "all become 255", "`intensity`"],
    ),
    "no window of its own": (
        "x.png",
        saved(FILM, "PNG"),
        {"intensity": {"kind": "dicom"}},
        ["is no DICOM file", "kind: percentile", "kind: full_range"],
    ),
    "floats": ("x.tif", saved(FLOAT, "TIFF"), {}, ["floating-point values", "no fixed range", "percentile"]),
    "floats of full range": (
        "x.tif",
        saved(FLOAT, "TIFF"),
        {"intensity": {"kind": "full_range"}},
        ["floating-point values", "kind: window"],
    ),
    "NaN": ("x.tif", saved(NAN, "TIFF"), {"intensity": PERCENTILE}, ["of 480 values are not numbers (NaN"]),
    "32 bits, signed": ("x.tif", TIFF_S16, {}, ["signed or 32-bit values", "kind: percentile"]),
    "16-bit colour by percentiles": (
        "x.png",
        DEEP_COLOUR,
        {"channels": 3, "convert": ["grey_to_rgb"], "intensity": PERCENTILE},
        ["has 16-bit colour", "`intensity: {kind: percentile}` cannot", "8-bit colour"],
    ),
    "16-bit colour of 12 bits": (
        "x.png",
        DEEP_COLOUR,
        {"channels": 3, "convert": ["grey_to_rgb"], "bits": 12},
        ["has 16-bit colour", "`bits: 12` cannot", "8-bit colour"],
    ),
    "colour": ("x.png", saved(RGB, "PNG"), {}, ["1 of 41 images are in colour", "`convert: [rgb_to_grey]`"]),
    "colours of a palette": (
        "x.gif",
        saved(Image.fromarray(RGB).quantize(16), "GIF"),
        {},
        ["in colour", "`convert: [rgb_to_grey]`", "`channels: 3`"],
    ),
    "grey": (
        "x.png",
        saved(np.dstack([GREY] * 3), "PNG"),
        {"channels": 3},
        ["41 of 41 images are grey", "`convert: [grey_to_rgb]`", "`channels: 1`"],
    ),
    "printing colours": (
        "x.jpg",
        saved(Image.fromarray(RGB).convert("CMYK"), "JPEG"),
        {"channels": 3, "convert": ["grey_to_rgb"]},
        ["1 of 41 images have printing colours", "`convert: [grey_to_rgb, cmyk_to_rgb]`"],
    ),
    "half transparent": (
        "x.png",
        saved(TRANSLUCENT, "PNG"),
        {"channels": 3, "convert": ["grey_to_rgb"]},
        ["transparent in places", "`convert: [grey_to_rgb, drop_alpha]`"],
    ),
    "empty": ("x.png", b"", {}, ["is not an image that can be read (JPEG, PNG"]),
    "text": ("x.jpg", b"<html>404</html>" * 9, {}, ["is not an image that can be read"]),
    "PDF": ("x.dcm", b"%PDF-1.7 " + bytes(500), {}, ["is not an image that can be read", "DICOM"]),
    "PNG cut short": ("x.png", saved(GREY, "PNG")[:-60], {}, ["cannot be decoded"]),
    "JPEG cut short": ("x.jpg", saved(GREY, "JPEG")[:-200], {}, ["cannot be decoded", "truncated"]),
    "DICOM cut short": ("x.dcm", (REAL / "MR_truncated.dcm").read_bytes(), {}, ["cannot be decoded", "8130"]),
    "frames of a GIF": (
        "x.gif",
        saved(GREY, "GIF", **ANIMATED),
        {},
        ["several pictures (a GIF", "save that"],
    ),
    "pages of a TIFF": ("x.tif", saved(GREY, "TIFF", **ANIMATED), {}, ["several pictures (a TIFF"]),
    "frames of DICOM": (
        "x.dcm",
        dicom_file(np.concatenate([FILM, FILM]), NumberOfFrames=2, Rows=20),
        {},
        ["DICOM file of 2 frames (NumberOfFrames)", "save the frames as files of their own"],
    ),
    "is it inverted": (
        "x.dcm",
        dicom_file(PhotometricInterpretation=None),
        {},
        ["lacks PhotometricInterpretation,", "dcmodify"],
    ),
    "no height": ("x.dcm", dicom_file(Rows=None, BitsStored=None), {}, ["lacks Rows, BitsStored,", "meant"]),
    "no pixels": (
        "x.dcm",
        dicom_file(PixelData=None),
        {},
        ["without pixel data (Computed Radiography Image Storage)", "leave its row out"],
    ),
    "a report": ("x.dcm", (REAL / "test-SR.dcm").read_bytes(), {}, ["without pixel data (Comprehensive SR"]),
    "deflated": ("x.dcm", (REAL / "image_dfl.dcm").read_bytes(), {}, ["deflated", "gdcmconv --raw"]),
    "compressed otherwise": (
        "x.dcm",
        dicom_of_syntax(MPEG2MPML),
        {},
        ["compressed as MPEG2", "gdcmconv --raw"],
    ),
    "unknown syntax": (
        "x.dcm",
        dicom_of_syntax("1.2.3"),
        {},
        ["cannot be decoded"],
    ),
    "12-bit JPEG": (
        "x.dcm",
        (REAL / "JPGExtended.dcm").read_bytes(),
        {},
        ["JPEG Extended (Process 2 and 4)", "envs/requirements-jpeg12.txt"],
    ),
    "slope of 0": ("x.dcm", dicom_file(RescaleSlope=0), {}, ["RescaleSlope is 0", "mend the file"]),
    "unknown function": (
        "x.dcm",
        dicom_file(WindowCenter=1, WindowWidth=2, VOILUTFunction="CUBIC"),
        {},
        ["VOILUTFunction is 'CUBIC'; known are LINEAR"],
    ),
    "damaged table": (
        "x.dcm",
        dicom_file(VOILUTSequence=[lookup_table(np.arange(9)[:0], 0, 8)]),
        {},
        ["lookup table", "announced"],
    ),
    "bomb behind a small header": (
        "x.dcm",
        (REAL / "MR_small_jp2klossless.dcm")
        .read_bytes()
        .replace(struct.pack(">II", 64, 64), struct.pack(">II", 60_000, 50_000), 1),
        {},
        ["compressed picture has 60000 x 50000 pixels", "Columns and Rows say 64 x 64"],
    ),
    "32-bit colour": ("x.dcm", (REAL / "SC_rgb_rle_32bit.dcm").read_bytes(), {}, ["'RGB' with 32 bits"]),
    "PNG bomb": (
        "x.png",
        png_that_claims(100_000, 60_000),
        {},
        ["too large", "At most 400 megapixels", "save it smaller"],
    ),
    "larger than is read": (
        "x.png",
        png_that_claims(30_000, 20_000),
        {},
        ["has 30000 x 20000 pixels, which are 600 megapixels", "At most 400 megapixels", "tiles"],
    ),
    "DICOM bomb": (
        "x.dcm",
        dicom_file(Rows=60_000, Columns=60_000),
        {},
        ["has 60000 x 60000 pixels", "At most 400 megapixels"],
    ),
    "black": ("x.png", saved(np.zeros((9, 9), np.uint8), "PNG"), {}, ["same value in every pixel (black)"]),
    "white": ("x.jpg", saved(np.full((9, 9), 255, np.uint8), "JPEG"), {}, ["in every pixel (white)"]),
    "one value": ("x.dcm", dicom_file(FILM * 0 + 7), {}, ["same value in every pixel", "shows nothing"]),
}


@pytest.mark.filterwarnings("ignore")  # libraries warn of some of these, too
@pytest.mark.parametrize("case", CASES)
def test_a_bad_image_is_named_with_what_is_wrong_and_how_to_mend_it(
    local_root: Path, make_dataset, case: str
) -> None:
    name, content, says, expected = CASES[case]
    path = local_root / "images" / name
    if callable(content):
        content(path)
    else:
        path.write_bytes(content)
    with open(local_root / "labels.csv", "a") as stream:
        stream.write(f"{name},91,0\n")
    with pytest.raises(DataError) as caught:
        validate_dataset(make_dataset(**says), local_root, {"files": {}})
    message = str(caught.value)
    assert re.search(rf"images/({re.escape(name)}|000\.png)", message)
    assert "1 problem\n" in message
    for part in expected:
        assert part in message
    assert str(local_root / "images") not in message, "the path as the table names it"
