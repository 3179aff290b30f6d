"""Images that look alike: saved again, resized, brighter; and those that only are of the same kind."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff.data.leaks.looks import ALIKE, BITS, alike_across, look, nearest
from meddiff.data.splitting.splits import make_splits
from meddiff.data.validate import validate_dataset


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


def test_nearest_is_the_nearest_of_all_pairs() -> None:
    """Against all pairs one by one: copies with up to 60 flipped bits, more than one block of rows."""
    rng = np.random.default_rng(0)
    others = rng.integers(0, 256, (150, 32), dtype=np.uint8)
    mine = np.unpackbits(others, axis=1)[rng.integers(0, 150, 200)]
    for row in mine:
        row[rng.choice(256, rng.integers(0, 60), replace=False)] ^= 1
    looks = [np.packbits(row).tobytes().hex() for row in mine]
    known = [row.tobytes().hex() for row in others]
    found, bits = nearest(looks, known)
    expected = [min((differing(text, other), i) for i, other in enumerate(known)) for text in looks]
    assert found.tolist() == [i if distance <= ALIKE else -1 for distance, i in expected]
    assert bits.tolist() == [distance if distance <= ALIKE else BITS for distance, _ in expected]
    assert 0 < (found >= 0).sum() < 200


def test_copies_are_left_to_another_report() -> None:
    looks, hashes = dict.fromkeys("abcd", "00" * 32), {"a": "x", "b": "y", "c": "x", "d": "z"}
    frames = {name: pd.DataFrame({"image_id": list(ids)}) for name, ids in (("train", "ab"), ("test", "cd"))}
    assert alike_across(frames, looks, hashes) == [
        "train row 2 (a) and test row 3 (d): look alike (0 of 255 bits differ)"
    ]


def test_what_looks_alike_in_two_splits_is_reported(tmp_path: Path, make_dataset, caplog) -> None:
    (tmp_path / "images").mkdir()
    rows = ["file,patient,diagnosis"]
    for i in range(12):
        scene(i).save(tmp_path / f"images/{i:02d}.png")
        rows.append(f"{i:02d}.png,p{i},{i % 2}")
    as_jpeg(scene(3), 80).save(tmp_path / "images/again.png")
    (tmp_path / "labels.csv").write_text("\n".join([*rows, "again.png,q,1"]) + "\n")
    split = {name: tmp_path / f"{name}.csv" for name in ("train", "valid", "test")}
    ids = {"train": range(8), "valid": range(8, 10), "test": range(10, 12)}
    for name, path in split.items():
        path.write_text("\n".join(["image_id", *(f"{i:02d}" for i in ids[name])]) + "\n")
    dataset = make_dataset(split={"kind": "files"} | {name: str(path) for name, path in split.items()})
    table = validate_dataset(dataset, tmp_path, {"files": {}}).table
    with caplog.at_level(logging.INFO, "meddiff"):
        make_splits(dataset, table)
    assert "no image looks like one of another split" in caplog.text
    split["test"].write_text(split["test"].read_text() + "again\n")
    with caplog.at_level(logging.WARNING, "meddiff"):
        make_splits(dataset, table)
    assert "look alike (if one is a copy, give both the same group): 1 problem" in caplog.text
    assert "train row 5 (03) and test row 4 (again): look alike" in caplog.text
