"""Building a store: gone on with after a kill, in little memory, from JPEG files decoded in part."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meddiff.config.dataset_slices import StoreParams, parse_slice, slice_of
from meddiff.data.decoding import dataset_images
from meddiff.data.decoding.images import read_picture, reading
from meddiff.data.decoding.pixels import PixelFormat
from meddiff.data.layouts.rows import read_table
from meddiff.data.splitting.splits import draw_splits, write_splits
from meddiff.data.stores.build import build_store
from meddiff.data.stores.partial import FOLDER, PartialArray
from meddiff.devices.cpus import thread_map
from meddiff.errors import DataError

NAMES = ["healthy", "sick"]
PIXELS = PixelFormat(12, 1)
KILLED_AFTER = 17

KILL = """
import os, signal, sys
from pathlib import Path
from meddiff.data.decoding import dataset_images
from meddiff.data.decoding.pixels import PixelFormat
from meddiff.data.stores.build import build_store
read, seen = dataset_images.reading, []
def read_or_die(*arguments):
    seen.append(1)
    if len(seen) > int(sys.argv[5]):
        os.kill(os.getpid(), signal.SIGKILL)
    return read(*arguments)
dataset_images.reading = read_or_die
splits, root, out, listing = map(Path, sys.argv[1:5])
build_store(splits, root, out, PixelFormat(12, 1), ["healthy", "sick"], 1, listing=listing)
"""


class Case:
    """A small dataset with splits, and a file that stands for its listing."""

    def __init__(self, folder: Path, root: Path, dataset) -> None:
        self.root, self.splits, self.listing = root, folder / "splits", folder / "raw.json"
        table = read_table(dataset, root)
        table = table.assign(sha256=table["image_id"])
        write_splits(draw_splits(table, dataset.split), self.splits)
        self.listing.write_text("{}")

    def build(self, out: Path, pixels: PixelFormat = PIXELS, listing: bool = True) -> dict[str, bytes]:
        build_store(self.splits, self.root, out, pixels, NAMES, listing=self.listing if listing else None)
        return {path.name: path.read_bytes() for path in sorted(out.iterdir())}

    def killed(self, out: Path, after: int = KILLED_AFTER) -> None:
        arguments = [self.splits, self.root, out, self.listing, after]
        done = subprocess.run([sys.executable, "-c", KILL, *map(str, arguments)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert [path.name for path in out.iterdir()] == [FOLDER]


@pytest.fixture
def case(tmp_path: Path, make_dataset, local_root: Path) -> Case:
    return Case(tmp_path, local_root, make_dataset())


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read from now on."""
    names: list[str] = []

    def read(path: Path, *arguments):
        names.append(path.name)
        return reading(path, *arguments)

    monkeypatch.setattr(dataset_images, "reading", read)
    return names


@pytest.mark.parametrize("after", [0, KILLED_AFTER, 33])
def test_a_killed_build_goes_on_to_the_same_bytes(
    tmp_path: Path, case: Case, decoded: list[str], after: int
) -> None:
    whole = case.build(tmp_path / "whole")
    case.killed(tmp_path / "new", after)
    decoded.clear()
    assert case.build(tmp_path / "new") == whole
    assert len(decoded) == len(set(decoded)) == 40 - after


def test_rows_that_are_damaged_or_not_noted_are_made_again(
    tmp_path: Path, case: Case, decoded: list[str]
) -> None:
    whole = case.build(tmp_path / "whole")
    case.killed(tmp_path / "new")
    array, journal = (tmp_path / "new" / FOLDER / f"train.{end}" for end in ("npy", "journal"))
    content = bytearray(array.read_bytes())
    content[128 + 5 * 144] ^= 1  # a pixel of row 5
    array.write_bytes(content)
    noted = bytearray(journal.read_bytes())
    noted[8:16] = bytes(8)  # row 1
    journal.write_bytes(noted)
    decoded.clear()
    assert case.build(tmp_path / "new") == whole
    assert len(decoded) == 40 - KILLED_AFTER + 2


@pytest.mark.parametrize("change", ["listing", "pixels", "splits"])
def test_nothing_is_kept_of_another_store(
    tmp_path: Path, case: Case, decoded: list[str], change: str
) -> None:
    pixels = PixelFormat(16, 1) if change == "pixels" else PIXELS
    case.killed(tmp_path / "new")
    if change == "listing":
        case.listing.write_text('{"files": {}}')
    elif change == "splits":
        rows = (case.splits / "train.csv").read_text().splitlines()
        (case.splits / "train.csv").write_text("\n".join(rows[:-1]) + "\n")
    decoded.clear()
    built = case.build(tmp_path / "new", pixels)
    assert len(decoded) == (39 if change == "splits" else 40)
    assert built == case.build(tmp_path / "whole", pixels)


def test_what_is_decoded_is_kept_when_an_image_cannot_be_read(
    tmp_path: Path, case: Case, decoded: list[str]
) -> None:
    whole = case.build(tmp_path / "whole")
    path = case.root / "images/007.png"
    sound = path.read_bytes()
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"row \d+: .*007\.png: is not an image"):
        case.build(tmp_path / "new")
    path.write_bytes(sound)
    decoded.clear()
    assert case.build(tmp_path / "new") == whole
    assert len(decoded) < 40 and "007.png" in decoded


def test_without_a_listing_nothing_is_kept(tmp_path: Path, case: Case) -> None:
    (case.root / "images/007.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"is not an image"):
        case.build(tmp_path / "new", listing=False)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_row_of_zeros_is_a_row(tmp_path: Path) -> None:
    array = PartialArray(tmp_path / "a.npy", (3, 2, 2, 1))
    array.write(1, np.zeros((2, 2, 1), np.uint8))
    array.close()
    again = PartialArray(tmp_path / "a.npy", (3, 2, 2, 1))
    assert again.missing().tolist() == [0, 2]
    again.close()


def test_items_are_taken_as_they_are_needed() -> None:
    """Otherwise memory grows with the number of images."""
    items = iter(range(100_000))
    results = thread_map(str, items, threads=2)
    assert [next(results) for _ in range(3)] == ["0", "1", "2"]
    assert next(items) < 200
    results.close()


def film(side: int) -> Image.Image:
    """Smooth structures with fine ones on them, as an X-ray has."""
    y, x = np.mgrid[0:side, 0:side] / side
    values = 128 + 60 * np.sin(5 * x + 3 * y**2) + 30 * np.sin(40 * x * y) + 10 * np.sin(90 * y)
    noise = np.random.default_rng(0).normal(0, 4, values.shape)
    return Image.fromarray((values + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(("side", "decoded_side"), [(512, 128), (256, 128), (255, 255), (128, 128), (40, 40)])
def test_reduced_decoding_keeps_twice_the_side_and_nearly_all_values(
    tmp_path: Path, side: int, decoded_side: int
) -> None:
    film(side).save(tmp_path / "film.jpg", quality=90)
    film(side).save(tmp_path / "film.png")
    full, reduced = PixelFormat(64, 1), PixelFormat(64, 1, decoding="reduced")
    picture = read_picture(tmp_path / "film.jpg", reduced.least_side)
    assert picture.image.size == (decoded_side, decoded_side)
    plain = full.of(read_picture(tmp_path / "film.jpg", full.least_side)).astype(int)
    difference = np.abs(reduced.of(picture) - plain)
    assert (difference.max() == 0) == (decoded_side == side)
    assert difference.max() <= 8 and difference.mean() < 1
    of_png = [pixels.of(read_picture(tmp_path / "film.png", pixels.least_side)) for pixels in (full, reduced)]
    np.testing.assert_array_equal(*of_png)


def test_decoding_is_a_param_only_where_it_is_said(make_dataset) -> None:
    """A key that was not there before would make all stores stale."""
    assert "decoding" not in json.loads(slice_of(make_dataset(), StoreParams))
    assert "decoding" not in json.loads(slice_of(make_dataset(decoding="full"), StoreParams))
    said = parse_slice(slice_of(make_dataset(decoding="reduced"), StoreParams), StoreParams)
    assert said.decoding == "reduced"


def test_the_manifest_says_how_images_were_decoded(tmp_path: Path, case: Case) -> None:
    manifest = json.loads(case.build(tmp_path / "full")["manifest.json"])
    assert "decoding" not in manifest
    reduced = PixelFormat(12, 1, decoding="reduced")
    assert json.loads(case.build(tmp_path / "part", reduced)["manifest.json"])["decoding"] == "reduced"
