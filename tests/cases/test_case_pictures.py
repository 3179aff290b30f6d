"""Pictures of the explorer: thumbnails where the page looks for them, maps that keep their sum."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from meddiff.cases.pictures import SHEET_COLUMNS, data_uri, encoded, sheet, signed_map


def test_a_thumbnail_is_where_its_number_says() -> None:
    pictures = [np.full((8, 8, 1), 10 * at, np.uint8) for at in range(20)]
    page = np.asarray(Image.open(io.BytesIO(sheet(pictures, 8))).convert("L")).astype(int)
    assert page.shape == (2 * 8, SHEET_COLUMNS * 8)
    for at in range(20):
        row, column = divmod(at, SHEET_COLUMNS)
        middle = page[8 * row + 2 : 8 * row + 6, 8 * column + 2 : 8 * column + 6]
        assert np.abs(middle - 10 * at).max() < 8


def test_small_pictures_lose_nothing_and_large_ones_are_made_small() -> None:
    small = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    kind, content = encoded(small)
    assert kind == "png" and np.array_equal(np.asarray(Image.open(io.BytesIO(content))), small)
    kind, content = encoded(np.zeros((600, 600, 1), np.uint8))
    assert kind == "webp" and Image.open(io.BytesIO(content)).size == (256, 256)
    assert data_uri(small).startswith("data:image/png;base64,")


@pytest.mark.parametrize("side", [8, 64, 100, 130])
def test_maps_keep_sign_and_sum(side: int) -> None:
    values = np.random.default_rng(1).normal(0.1, 1, (side, side))
    found = signed_map(values)
    assert found["height"] <= 64 and found["sum"] == pytest.approx(values.sum(), rel=1e-3)
    stored = np.frombuffer(base64.b64decode(found["bytes"]), np.int8)
    assert len(stored) == found["height"] * found["width"] and np.abs(stored).max() == 127
    # All but the clipped few are what they were, to half a step.
    sums = stored.astype(float).sum() * found["limit"] / 127
    assert sums == pytest.approx(values.sum(), abs=0.02 * np.abs(values).sum())


def test_a_map_of_nothing_is_shown_as_nothing() -> None:
    assert not np.frombuffer(base64.b64decode(signed_map(np.zeros((4, 4)))["bytes"]), np.int8).any()
