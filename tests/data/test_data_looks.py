"""Images that look alike: saved again, resized, brighter; and those that only are of the same kind."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meddiff.data.decoding.images import decode
from meddiff.data.leaks.looks import ALIKE, alike, look, pixel_hash


def scene(seed: int) -> Image.Image:
    """A picture of its own, with the amplitudes of natural images: 1 / frequency."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(size=(240, 320)))
    frequency = np.hypot(np.fft.fftfreq(240)[:, None] * 240, np.fft.rfftfreq(320)[None] * 320)
    pixels = np.fft.irfft2(spectrum / np.maximum(frequency, 1), s=(240, 320))
    return Image.fromarray(np.clip(128 + 50 * pixels / pixels.std(), 0, 255).astype(np.uint8))


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


SAME = {
    "jpeg": lambda image: as_jpeg(image, 60),
    "smaller": lambda image: image.resize((160, 120), Image.Resampling.BILINEAR),
    "larger": lambda image: image.resize((400, 400), Image.Resampling.BICUBIC),
    "brighter": lambda image: image.point(lambda value: int(value * 0.9 + 20)),
    "colour": lambda image: image.convert("RGB"),
}


def differing(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize("change", SAME)
def test_the_same_picture_looks_alike(change: str) -> None:
    for seed in range(20):
        assert differing(look(scene(seed)), look(SAME[change](scene(seed)))) <= ALIKE


def test_other_pictures_do_not() -> None:
    looks = [look(scene(seed)) for seed in range(60)]
    assert min(differing(a, b) for i, a in enumerate(looks) for b in looks[:i]) > ALIKE


def test_real_films_of_the_same_kind_do_not(nih_cxr: Path) -> None:
    """One pair of these thousand is the same film under two numbers; all others are different ones."""
    looks = [look(Image.open(path)) for path in sorted((nih_cxr / "images").glob("*"))]
    pairs = [differing(a, b) for i, a in enumerate(looks) for b in looks[:i]]
    assert sorted(pairs)[0] == 0 and sorted(pairs)[1] > ALIKE + 10


def test_pixels_are_those_of_the_picture_not_of_the_file(tmp_path: Path) -> None:
    picture = scene(1)
    saved = [("a.png", picture, {}), ("b.bmp", picture, {}), ("c.tif", picture.convert("RGB"), {})]
    hashes = []
    for name, image, options in saved:
        image.save(tmp_path / name, **options)
        hashes.append(pixel_hash(decode(tmp_path / name, 3)))
    assert len(set(hashes)) == 1 and len(hashes[0]) == 32
    assert pixel_hash(as_jpeg(picture, 90).convert("RGB")) != hashes[0]
    tall, wide = Image.new("RGB", (2, 8), 7), Image.new("RGB", (8, 2), 7)
    assert pixel_hash(tall) != pixel_hash(wide)


@pytest.mark.parametrize("most", [0, ALIKE, 40])
def test_alike_are_all_pairs_of_few_bits(most: int) -> None:
    """Against all pairs one by one: copies with up to 60 flipped bits, more than one block of rows."""
    rng = np.random.default_rng(0)
    others = rng.integers(0, 256, (150, 32), dtype=np.uint8)
    others[7] = others[3]
    mine = np.unpackbits(others, axis=1)[rng.integers(0, 150, 200)]
    for row in mine:
        row[rng.choice(256, rng.integers(0, 60), replace=False)] ^= 1
    looks = [np.packbits(row).tobytes().hex() for row in mine]
    known = [row.tobytes().hex() for row in others]
    found = [
        pair
        for block in alike(looks, known, most)
        for pair in zip(*map(np.ndarray.tolist, block), strict=True)
    ]
    every = [(i, differing(text, other), j) for i, text in enumerate(looks) for j, other in enumerate(known)]
    assert found == [(i, j, bits) for i, bits, j in sorted(every) if bits <= most]
    assert 0 < len(found) < 200
