"""Images that are read from a store's file when they are needed."""

from __future__ import annotations

import os

import numpy as np
import pytest

from meddiff.data.stores.store import Store
from meddiff.errors import DataError
from meddiff.scoring.images import ImageRows


def test_rows_are_those_of_the_store(store):
    images = Store.open(store, "test").images
    rows = np.array([7, 1, 1, 4])
    with ImageRows(images, rows) as read:
        for wanted in ([0, 1, 2, 3], [3], [2, 0], []):
            np.testing.assert_array_equal(read[wanted], images[rows[wanted]])


@pytest.mark.parametrize("shape", [(5, 2, 3, 3), (5, 1, 1, 1)])
def test_shapes_are_kept(tmp_path, shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    with ImageRows(np.load(tmp_path / "images.npy", mmap_mode="r"), np.arange(5)) as read:
        np.testing.assert_array_equal(read[[4, 0]], images[[4, 0]])


def test_a_file_that_has_become_shorter_is_named(tmp_path):
    path = tmp_path / "test.npy"
    np.save(path, np.zeros((5, 2, 2, 1), np.uint8))
    with ImageRows(np.load(path, mmap_mode="r"), np.arange(5)) as read:
        os.truncate(path, path.stat().st_size - 1)
        assert read[[3]].shape == (1, 2, 2, 1)
        with pytest.raises(DataError, match=r"test\.npy: ends before row 4; run `store` again"):
            read[[3, 4]]


def test_the_file_is_closed(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((2, 2, 2, 1), np.uint8))
    with ImageRows(np.load(tmp_path / "images.npy", mmap_mode="r"), np.arange(2)) as read:
        pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        read[[0]]
