"""Images without labels: one class without a value, which every row is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meddiff.data.layouts.rows import read_table
from meddiff.data.splitting.splits import make_splits
from meddiff.data.validate import validate_dataset

ONE = [{"name": "image"}]


def images(folder: Path, names: list[str]) -> None:
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / name)


def test_a_table_without_labels(tmp_path, make_dataset):
    images(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "list.csv").write_text("file,patient\na.png,1\nb.png,1\nc.png,2\n")
    layout = {"kind": "table", "csv": "list.csv", "image_column": "file", "group_column": "patient"}
    table = read_table(make_dataset(format=layout, classes=ONE), tmp_path)
    assert table["image_id"].tolist() == ["a", "b", "c"]
    assert table["label"].tolist() == [0, 0, 0]
    assert table["group"].iloc[0] == table["group"].iloc[1] != table["group"].iloc[2]


def test_conditions_still_hold(tmp_path, make_dataset):
    images(tmp_path, ["a.png", "b.png"])
    (tmp_path / "list.csv").write_text("file,view\na.png,PA\nb.png,lateral\n")
    layout = {"kind": "table", "csv": "list.csv", "image_column": "file"}
    layout["where"] = [{"column": "view", "equal": "PA"}]
    assert read_table(make_dataset(format=layout, classes=ONE), tmp_path)["image_id"].tolist() == ["a"]


def test_folders_are_no_classes(tmp_path, make_dataset):
    images(tmp_path, ["x/a.png", "y/a.png", "y/z/b.png"])
    dataset = make_dataset(format={"kind": "folders"}, classes=ONE)
    table = read_table(dataset, tmp_path)
    assert sorted(table["image_id"]) == ["x/a", "y/a", "y/z/b"]
    assert set(table["label"]) == {0}


def test_labels_of_arrays_are_not_looked_at(tmp_path, make_dataset):
    rng = np.random.default_rng(0)
    arrays = {}
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = rng.integers(0, 256, (4, 8, 8), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(4, dtype=np.uint8)[:, None]
    np.savez(tmp_path / "some.npz", **arrays)
    layout, split = {"kind": "arrays", "file": "some.npz"}, {"kind": "arrays"}
    table = read_table(make_dataset(format=layout, classes=ONE, split=split), tmp_path)
    assert len(table) == 12 and set(table["label"]) == {0}


@pytest.mark.parametrize("classes", [ONE, [{"values": [0, 1], "name": "image"}]])
def test_they_are_checked_and_divided_as_others(local_root, make_dataset, classes):
    """Patients stay together, and every split has images."""
    layout = make_dataset().format.model_dump(exclude_unset=True)
    if classes == ONE:
        layout.pop("label_column")
    dataset = make_dataset(format=layout, classes=classes)
    table = validate_dataset(dataset, local_root, {"files": {}}).table
    splits = make_splits(dataset, table)
    parts = {name: set(part["group"]) for name, part in splits.items()}
    assert sum(len(part) for part in splits.values()) == 40
    assert all(parts.values())
    assert not parts["train"] & parts["test"] and not parts["train"] & parts["valid"]
