"""Images unlike a dataset's, and the store of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core_samples import write_store
from meddiff.cli import main
from meddiff.data.shifts import NOISE_SIGMA, SHIFTS, fitted_to, shifted
from meddiff.data.stores.store import Store

SIZE = 16


def image(seed: int = 0, channels: int = 1) -> np.ndarray:
    """Smooth enough that a blur does not flatten it, without black and white."""
    coarse = np.random.default_rng(seed).integers(60, 196, (SIZE // 4, SIZE // 4, channels))
    return coarse.repeat(4, axis=0).repeat(4, axis=1).astype(np.uint8)


@pytest.mark.parametrize("kind", SHIFTS)
def test_a_shift_is_a_function_of_image_id_and_seed(kind):
    for channels in (1, 3):
        original = image(channels=channels)
        found = shifted(original, kind, "a", 0)
        assert found.dtype == np.uint8 and found.shape == original.shape
        assert not np.array_equal(found, original)
        np.testing.assert_array_equal(found, shifted(original, kind, "a", 0))
    drawn = {shifted(image(), kind, name, seed).tobytes() for name in "abcdef" for seed in range(2)}
    assert (len(drawn) > 1) == (kind in ("noisy", "rotated"))


def test_shifts_are_what_they_are_called():
    original = image()
    values = {kind: shifted(original, kind, "a", 0).astype(float) for kind in SHIFTS}
    np.testing.assert_array_equal(values["inverted"], 255.0 - original)
    np.testing.assert_array_equal(values["upside_down"], original[::-1])
    contrast = values["half_contrast"]
    assert contrast.mean() == pytest.approx(original.mean(), abs=0.5)
    assert contrast.std() == pytest.approx(original.std() / 2, rel=0.02)
    assert (values["noisy"] - original).std() == pytest.approx(255 * NOISE_SIGMA, rel=0.1)
    steps = {kind: np.abs(np.diff(values[kind], axis=0)).mean() for kind in ("blurred", "upside_down")}
    assert steps["blurred"] < steps["upside_down"] and values["blurred"].std() < original.std()
    # A disc about the centre looks the same from every side.
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    disc = np.where(np.hypot(x, y) < SIZE / 4, 200, 50).astype(np.uint8)[..., None]
    assert np.abs(shifted(disc, "rotated", "a", 0).astype(float) - disc).mean() < 8


def test_an_image_of_another_dataset_gets_size_and_channels():
    colours = image(channels=3)
    grey = fitted_to(colours, 8, 1)
    assert grey.shape == (8, 8, 1)
    assert grey.mean() == pytest.approx((colours @ [0.299, 0.587, 0.114]).mean(), abs=1)
    back = fitted_to(grey, SIZE, 3)
    assert back.shape == (SIZE, SIZE, 3) and (back == back[..., :1]).all()


def test_the_store_has_every_kind_of_image(tmp_path: Path):
    own = write_store(tmp_path / "chest/made", {"train": 2, "valid": 2, "test": 4}, size=SIZE)
    other = write_store(tmp_path / "skin/made", {"train": 2, "valid": 2, "test": 3}, size=SIZE, channels=3)
    params = {"kinds": ["inverted", "noisy", "phantom", "other_datasets"], "images": 2, "seed": 3}
    for out in ("first", "again"):
        command = ["shift", "--params", json.dumps(params), "--stores", str(own), str(other)]
        assert main([*command, "--out-dir", str(tmp_path / out)]) == 0
    for name in ("manifest.json", "shifted.npy"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    store, test = Store.open(tmp_path / "first", "shifted"), Store.open(own, "test")
    shifts = [image_id.partition(":")[0] for image_id in store.image_ids]
    assert shifts == [name for name in ("inverted", "noisy", "phantom", "skin") for _ in range(2)]
    for row, image_id in enumerate(store.image_ids[:4]):
        kind, _, original = image_id.partition(":")
        at = test.image_ids.index(original)
        np.testing.assert_array_equal(
            store.images[row], shifted(np.array(test.images[at]), kind, original, 3)
        )
        assert (store.labels[row], store.groups[row]) == (test.labels[at], test.groups[at])
    assert not {*store.groups[4:]} & {*test.groups}
