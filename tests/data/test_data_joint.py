"""Several stores behind one index."""

from __future__ import annotations

import numpy as np
import pytest

from core_samples import write_store
from meddiff.data.stores.joint import JointStore
from meddiff.data.stores.store import Store
from meddiff.errors import DataError


def test_rows_labels_and_ids_follow_each_other(tmp_path):
    folders = [
        write_store(tmp_path / "grey", {"train": 5, "valid": 2, "test": 2}),
        write_store(tmp_path / "colour", {"train": 7, "valid": 3, "test": 2}, channels=3, classes=3),
    ]
    grey, colour = (Store.open(folder, "train") for folder in folders)
    joint = JointStore.open(folders, "train")
    assert joint.images.shape == (12, *colour.images.shape[1:]) and len(joint) == 12
    assert joint.num_classes == 5 and joint.class_names == [*grey.class_names, *colour.class_names]
    assert joint.labels.tolist() == [*grey.labels, *(colour.labels + 2)]
    assert len(set(joint.image_ids)) == 12
    rows = np.array([11, 0, 4, 5, 4])
    got = joint.images[rows]
    assert np.array_equal(got[[1, 2]], np.repeat(grey.images[[0, 4]], 3, axis=3))
    assert np.array_equal(got[[0, 3]], colour.images[[6, 0]])
    assert np.array_equal(got[4], got[2])
    assert np.array_equal(joint.images[3:7], joint.images[np.arange(3, 7)])


def test_images_of_one_size_are_needed(tmp_path):
    folders = [write_store(tmp_path / str(size), size=size) for size in (8, 16)]
    with pytest.raises(DataError, match="one size"):
        JointStore.open(folders, "train")
