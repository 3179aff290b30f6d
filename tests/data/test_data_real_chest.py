"""Real chest X-rays, where somebody has put them beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from meddiff.data.decoding.images import decode
from meddiff.data.decoding.pixels import resize
from meddiff.data.layouts.rows import read_table
from meddiff.data.splitting.splits import make_splits

ROOT = Path(__file__).resolve().parents[3] / "shared/real/nih-cxr"

pytestmark = pytest.mark.skipif(
    not (ROOT / "labels.csv").is_file(), reason="needs real chest X-rays in ../shared/real/nih-cxr"
)


def test_real_films_are_split_by_patient(make_dataset) -> None:
    layout = {
        "kind": "table",
        "csv": "labels.csv",
        "image_column": "image",
        "label_column": "pneumonia",
        "group_column": "patient",
        "image_dir": "images",
    }
    split = {"kind": "recipe", "valid": 0.15, "test": 0.15, "seed": 0}
    dataset = make_dataset(format=layout, split=split)
    table = read_table(dataset, ROOT)
    assert len(table) == 1000
    assert table["group"].str.fullmatch(r"\d{8}").all()
    splits = make_splits(dataset, table.assign(sha256=table["image_id"]))
    assert {name: len(frame) for name, frame in splits.items()} == pytest.approx(
        {"train": 700, "valid": 150, "test": 150}, abs=5
    )
    patients = [set(frame["group"]) for frame in splits.values()]
    assert sum(len(group) for group in patients) == len(set.union(*patients))
    for frame in splits.values():
        assert frame["label"].mean() == pytest.approx(0.5, abs=0.03)
    film = resize(decode(ROOT / table["path"].iloc[0], 1), 32)
    assert film.shape == (32, 32, 1)
    assert film.std() > 10
