"""Picture files: which are opened, and what is made of the odd ones."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, ExifTags, Image

from meddiff.data.decoding.images import decode, read_picture
from meddiff.data.decoding.pictures import FORMATS
from meddiff.errors import DataError
from meddiff.explaining.edits import read_pixels
from meddiff.provenance import SOURCE

EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 20 20
%%EndComments
0 0 20 20 rectfill
%%EOF
"""
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)


def encoded(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture
def ghostscript(tmp_path: Path, monkeypatch) -> Path:
    """A stand-in for `gs` on the path, and the file that it leaves whenever it is started to read a file."""
    marker, program = tmp_path / "started", tmp_path / "bin/gs"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] || echo "$@" > {marker}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    return marker


@pytest.mark.parametrize("read", [lambda path: decode(path, 3), read_pixels], ids=["decode", "read_pixels"])
def test_no_image_file_starts_a_program(tmp_path: Path, ghostscript: Path, read) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(EPS)
    with pytest.raises(DataError, match=r"film\.png: .*(not an image|not a readable image)"):
        read(path)
    assert not ghostscript.exists()


def test_the_stand_in_for_ghostscript_would_have_been_started(tmp_path: Path, ghostscript: Path) -> None:
    (tmp_path / "film.png").write_bytes(EPS)
    with Image.open(tmp_path / "film.png") as image, pytest.raises(OSError):
        image.load()
    assert "film.png" in ghostscript.read_text()


def test_pictures_are_opened_in_one_place() -> None:
    other_ways = re.compile(r"Image\.open\b|\bimread\b|\bread_image\b|from PIL\.Image import|import PIL\b")
    found = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if other_ways.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["data/decoding/pictures.py"]


@pytest.mark.parametrize("kind", FORMATS)
def test_content_decides_and_not_the_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(kind))
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(np.asarray(decode(path, 3)), expected)


@pytest.mark.parametrize("kind", ["AVIF", "DDS", "PPM", "TGA", "JPEG2000", "ICO"])
def test_other_formats_are_not_tried(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(encoded(kind))
    with pytest.raises(DataError, match=r"image\.png: is not an image that can be read \(JPEG, PNG, "):
        decode(path, 3)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damaged tags, too
@pytest.mark.parametrize("kind", [*FORMATS, "AVIF", "DDS"])
def test_damage_is_always_an_error_that_names_the_file(tmp_path: Path, kind: str) -> None:
    path, rng = tmp_path / "image.png", np.random.default_rng(1)
    whole = encoded(kind)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged[: rng.integers(1, len(whole) + 1)])
        try:
            decode(path, 3)  # some damage cannot be seen
        except DataError as error:
            assert str(error).startswith(str(path))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_files_of_several_pictures_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "image.jpg"
    more = [Image.fromarray(PIXELS[::-1].copy()), Image.fromarray(255 - PIXELS)]
    path.write_bytes(encoded(kind, save_all=True, append_images=more))
    with pytest.raises(DataError, match=rf"image\.jpg: has several pictures \(a {kind} of more than one"):
        decode(path, 3)


def test_a_cameras_preview_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded("MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))]))
    with Image.open(io.BytesIO(encoded("JPEG"))) as image:
        assert np.array_equal(np.asarray(decode(path, 3)), np.asarray(image))


# Where the stored first row and first column are, as EXIF 2.3, table 6 says.
UPRIGHT = {
    1: lambda stored: stored,  # top, left
    2: lambda stored: stored[:, ::-1],  # top, right
    3: lambda stored: stored[::-1, ::-1],  # bottom, right
    4: lambda stored: stored[::-1],  # bottom, left
    5: lambda stored: stored.swapaxes(0, 1),  # left, top
    6: lambda stored: stored[::-1].swapaxes(0, 1),  # right, top
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda stored: stored[:, ::-1].swapaxes(0, 1),  # left, bottom
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("tag", UPRIGHT)
def test_the_orientation_tag_is_applied(tmp_path: Path, kind: str, tag: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = tag
    path = tmp_path / "image.png"
    path.write_bytes(encoded(kind, exif=exif))
    with Image.open(io.BytesIO(encoded(kind))) as untagged:
        stored = np.asarray(untagged)
    picture = read_picture(path)
    assert np.array_equal(np.asarray(picture.to_8_bit(3)), UPRIGHT[tag](stored))
    assert picture.turned == (tag != 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_orientation_tag_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(encoded("PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"))
    assert np.array_equal(np.asarray(decode(path, 3)), PIXELS)


def test_a_film_of_twelve_bits(tmp_path: Path) -> None:
    values = np.array([[0, 1, 1000, 2048, 4095]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "film.png")
    expected = [0, 0, 62, 128, 255]  # value * 255 / 4095, rounded
    assert list(decode(tmp_path / "film.png", 1, bits=12).tobytes()) == expected
    with pytest.raises(DataError, match=r"film\.png: has the value 4095, but with `bits: 11` white is 2047"):
        decode(tmp_path / "film.png", 1, bits=11)
    picture = read_picture(tmp_path / "film.png")
    assert (picture.peak, picture.is_deep_grey, picture.deep_colour) == (4095, True, False)


# 2 x 1 pixels, 16 bits a channel, RGB: (0, 1, 4095) and (256, 512, 1024). Pillow cannot write it.
def deep_colour_png() -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"\0" + struct.pack(">6H", 0, 1, 4095, 256, 512, 1024)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_deep_colour_cannot_have_fewer_bits(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(deep_colour_png())
    picture = read_picture(path)
    assert picture.deep_colour and picture.peak == 4095
    with pytest.raises(DataError, match=r"photo\.png: has 16-bit colour.*`bits: 12` cannot be applied"):
        picture.to_8_bit(3, bits=12)
