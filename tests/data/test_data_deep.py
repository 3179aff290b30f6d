"""Values of more than 8 bits: the rules by which they become 8, and what pictures cost."""

from __future__ import annotations

import json
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from meddiff.config.dataset_slices import StoreParams, ValidateParams, parse_slice, slice_of
from meddiff.config.schema.data.intensity import FullRange, Percentiles, Window
from meddiff.data.decoding import deep as deep_module
from meddiff.data.decoding import images
from meddiff.data.decoding.deep import Deep, to_8_bit
from meddiff.data.decoding.images import decode, read_picture
from meddiff.data.decoding.pixels import PixelFormat
from meddiff.data.decoding.turns import Turns
from meddiff.errors import ConfigError

FULL = FullRange(kind="full_range")


def shades(values: np.ndarray, rule, bits: int | None = None, **said) -> np.ndarray:
    return to_8_bit("x", Deep(values, bits=said.pop("bits_said", None), **said), bits, rule)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_every_value_of_the_full_range_is_rounded_to_the_nearest_shade(bits: int) -> None:
    """As stores were made before there were rules."""
    values = np.arange(1 << bits, dtype=np.uint16).reshape(2, -1)
    expected = np.rint(values.astype(np.float64) * (255 / ((1 << bits) - 1)))
    assert np.array_equal(shades(values, FULL, bits, bits_said=16), expected)


@given(
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=40),
    st.floats(0, 100),
    st.floats(0, 100),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_percentiles_are_values_of_the_image(
    stored: list[int], one: float, other: float, inverted: bool
) -> None:
    """By levels (integers) and by pixels (the same as floating-point numbers), against NumPy."""
    low, high = sorted((one, other))
    if low == high:
        low, high = 0.0, 100.0
    values = np.array([stored], dtype=np.int16)
    rule = Percentiles(kind="percentile", low=low, high=high)
    by_levels = shades(values, rule, inverted=inverted)
    assert np.array_equal(by_levels, shades(values.astype(np.float32), rule, inverted=inverted))
    black, white = np.percentile(values, [low, high], method="inverted_cdf").astype(float)
    share = np.clip((values - black) / (white - black), 0, 1) if white > black else np.zeros(values.shape)
    expected = np.rint(share * 255)
    assert np.array_equal(by_levels, 255 - expected if inverted else expected)


def test_a_window_is_in_the_files_units() -> None:
    values = np.array([[0, 1000, 1040, 1240, 4000]], dtype=np.uint16)
    rule = Window(kind="window", center=40, width=400)
    found = shades(values, rule, rescale=lambda stored: stored - 1000.0)
    assert found.tolist() == [[0, 102, 128, 255, 255]]


def test_few_rows_are_converted_at_once(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    rule = Percentiles(kind="percentile", low=10, high=90)
    for values in (rng.integers(0, 60_000, (50, 7)).astype(np.uint16), rng.normal(size=(50, 7))):
        monkeypatch.setattr(deep_module, "_BLOCK", 1 << 22)
        at_once = shades(values, rule)
        monkeypatch.setattr(deep_module, "_BLOCK", 15)
        assert np.array_equal(shades(values, rule), at_once)


def test_tiff_whose_lowest_value_is_white(tmp_path: Path) -> None:
    values = np.linspace(0, 65_535, 60).reshape(6, 10).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "plain.tif")
    Image.fromarray(values).save(tmp_path / "white.tif", tiffinfo={262: 0})
    with Image.open(tmp_path / "white.tif") as image:
        assert image.tag_v2[262] == 0
    found = [np.asarray(decode(tmp_path / f"{name}.tif", 1)) for name in ("plain", "white")]
    assert np.array_equal(found[0], 255 - found[1])


def test_tiff_of_32_bits(tmp_path: Path) -> None:
    values = np.array([[0, 1 << 31, (1 << 32) - 1]], dtype=np.uint32)
    Image.fromarray(values.view(np.int32)).save(tmp_path / "signed.tif")
    entry = struct.pack("<HHIH", 339, 3, 1, 2)  # SampleFormat, which Pillow always writes as signed
    content = (tmp_path / "signed.tif").read_bytes()
    assert content.count(entry) == 1
    (tmp_path / "unsigned.tif").write_bytes(content.replace(entry, struct.pack("<HHIH", 339, 3, 1, 1)))
    whole = Percentiles(kind="percentile", low=0, high=100)
    assert list(decode(tmp_path / "unsigned.tif", 1, intensity=whole).tobytes()) == [0, 128, 255]
    assert list(decode(tmp_path / "signed.tif", 1, intensity=whole).tobytes()) == [255, 0, 255]


def test_floating_point_tiff_by_a_window(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1.0, 0.0, 0.25, 1.0, 9.0]], dtype=np.float32)).save(tmp_path / "x.tif")
    window = Window(kind="window", center=0.5, width=1.0)
    assert list(decode(tmp_path / "x.tif", 1, intensity=window).tobytes()) == [0, 0, 64, 255, 255]


def test_one_bit(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "x.png")
    assert list(decode(tmp_path / "x.png", 1).tobytes()) == [255, 0]


def test_very_large_jpeg_is_read_in_part(tmp_path: Path, monkeypatch) -> None:
    image = Image.radial_gradient("L").resize((400, 240))
    image.save(tmp_path / "x.jpg", quality=95)
    monkeypatch.setattr(images, "_READ_SMALLER", 400 * 240 // 10)
    picture = read_picture(tmp_path / "x.jpg")
    assert picture.reduced and picture.size == (100, 60)
    expected = np.asarray(image.resize((100, 60), Image.Resampling.BOX)).astype(int)
    assert abs(np.asarray(picture.image) - expected).max() <= 6
    assert not read_picture(tmp_path / "x.jpg", least_side=120).reduced  # it was asked for
    image.save(tmp_path / "x.png")
    assert read_picture(tmp_path / "x.png").size == (400, 240)


def test_large_pictures_wait_for_each_other() -> None:
    turns, inside, most = Turns(100), [], []
    lock = threading.Lock()

    def read(amount: int) -> None:
        with turns.of(amount):
            with lock:
                inside.append(amount)
                most.append((len(inside), sum(inside)))
            time.sleep(0.002)
            with lock:
                inside.remove(amount)

    amounts = [1, 60, 300, 40, 60, 5, 300, 90, 10, 60] * 3
    threads = [threading.Thread(target=read, args=(amount,)) for amount in amounts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(most) == len(amounts)
    assert all(total <= 100 or number == 1 for number, total in most)


def test_an_error_gives_the_turn_back() -> None:
    turns = Turns(10)
    for _ in range(3):
        with pytest.raises(ValueError, match="damaged"), turns.of(10):
            raise ValueError("damaged")


def test_the_store_depends_on_the_rule_and_on_no_conversion(make_dataset) -> None:
    """A key that was not there before would make all stores stale."""
    plain = slice_of(make_dataset(), StoreParams)
    assert "intensity" not in json.loads(plain) and "convert" not in json.loads(plain)
    assert slice_of(make_dataset(convert=["rgb_to_grey"]), StoreParams) == plain
    ruled = make_dataset(intensity={"kind": "percentile", "low": 1})
    assert parse_slice(slice_of(ruled, StoreParams), StoreParams).intensity == Percentiles(
        kind="percentile", low=1, high=99.5
    )
    checked = parse_slice(slice_of(make_dataset(convert=["rgb_to_grey"]), ValidateParams), ValidateParams)
    assert (checked.channels, checked.convert) == (1, ("rgb_to_grey",))


@pytest.mark.parametrize(
    "said, expected",
    [
        ({"intensity": {"kind": "percentile", "low": 60, "high": 40}}, "low < high, got 60.0 and 40.0"),
        ({"intensity": {"kind": "percentile", "high": 101}}, "less than or equal to 100"),
        ({"intensity": {"kind": "window", "center": 40}}, "width"),
        ({"intensity": {"kind": "window", "center": 40, "width": 0}}, "greater than 0"),
        ({"intensity": {"kind": "clip"}}, "'full_range', 'percentile', 'window', 'dicom'"),
        ({"convert": ["to_grey"]}, "'grey_to_rgb', 'rgb_to_grey', 'cmyk_to_rgb' or 'drop_alpha'"),
        ({"convert": "rgb_to_grey"}, "tuple"),
    ],
)
def test_rules_that_cannot_work_are_refused(make_dataset, said, expected: str) -> None:
    with pytest.raises((ConfigError, ValidationError), match=expected):
        make_dataset(**said)


def test_a_rule_reaches_the_store(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16) * 10 + 7
    Image.fromarray(values).save(tmp_path / "x.png")
    rule = Percentiles(kind="percentile", low=0, high=100)
    stored = PixelFormat(16, 1, intensity=rule).of(read_picture(tmp_path / "x.png"))
    assert np.array_equal(stored[..., 0], np.arange(256).reshape(16, 16))
