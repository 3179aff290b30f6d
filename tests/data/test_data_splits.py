from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.config.schema.data.split import RecipeSplit
from meddiff.data.splitting.splits import draw_splits, make_splits, write_splits
from meddiff.data.tables import read_splits
from meddiff.errors import DataError

FEW = settings(max_examples=40, deadline=None)


def make_table(labels: list[int], groups: list[int], contents: list[int]) -> pd.DataFrame:
    n = len(labels)
    return pd.DataFrame(
        {
            "image_id": [f"{i:04d}" for i in range(n)],
            "path": [f"images/{i:04d}.png" for i in range(n)],
            "label": np.asarray(labels, dtype=np.int64),
            "group": [f"{g:03d}" for g in groups],
            "sha256": [f"sha{c}" for c in contents],
        }
    )


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(8, 60))
    labels = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    groups = draw(st.lists(st.integers(0, n), min_size=n, max_size=n))
    contents = draw(st.lists(st.integers(0, 3 * n), min_size=n, max_size=n))
    return make_table(labels, groups, contents)


recipes = st.builds(
    RecipeSplit, valid=st.sampled_from([0.1, 0.2]), test=st.sampled_from([0.15, 0.3]), seed=st.integers(0, 9)
)


@FEW
@given(table=tables(), recipe=recipes)
def test_every_image_is_in_one_split_and_nothing_leaks(table: pd.DataFrame, recipe: RecipeSplit) -> None:
    splits = draw_splits(table, recipe)
    ids = [image_id for frame in splits.values() for image_id in frame["image_id"]]
    assert sorted(ids) == sorted(table["image_id"])
    content = dict(zip(table["image_id"], table["sha256"], strict=True))
    for key in (lambda f: set(f["group"]), lambda f: set(f["image_id"].map(content))):
        train, valid, test = (key(frame) for frame in splits.values())
        assert not train & valid and not train & test and not valid & test


@FEW
@given(table=tables(), recipe=recipes, order=st.randoms(use_true_random=False))
def test_row_order_has_no_part(table: pd.DataFrame, recipe: RecipeSplit, order) -> None:
    positions = list(range(len(table)))
    order.shuffle(positions)
    one, other = draw_splits(table, recipe), draw_splits(table.iloc[positions], recipe)
    for name in one:
        pd.testing.assert_frame_equal(one[name], other[name])


@FEW
@given(counts=st.lists(st.integers(5, 60), min_size=2, max_size=4), recipe=recipes)
def test_without_groups_class_counts_are_on_target(counts: list[int], recipe: RecipeSplit) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    splits = draw_splits(make_table(labels, list(range(len(labels))), list(range(len(labels)))), recipe)
    for name, share in (("valid", recipe.valid), ("test", recipe.test)):
        for label, count in enumerate(counts):
            assert abs((splits[name]["label"] == label).sum() - share * count) <= 1


def test_grouped_splits_are_near_the_asked_shares() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), rng.integers(1, 6, 200))
    labels = rng.integers(0, 2, len(groups)).tolist()
    splits = draw_splits(make_table(labels, groups.tolist(), list(range(len(groups)))), RecipeSplit())
    for name, share in (("train", 0.7), ("valid", 0.15), ("test", 0.15)):
        assert len(splits[name]) == pytest.approx(share * len(groups), abs=4)
        assert splits[name]["label"].mean() == pytest.approx(np.mean(labels), abs=0.03)


def test_seed_decides() -> None:
    table = make_table([0, 1] * 30, list(range(60)), list(range(60)))
    tests = {tuple(draw_splits(table, RecipeSplit(seed=seed))["test"]["image_id"]) for seed in range(5)}
    assert len(tests) == 5


def test_too_few_images_is_an_error(make_dataset) -> None:
    with pytest.raises(DataError, match="test: no image of class 'sick'"):
        make_splits(make_dataset(), make_table([0] * 20 + [1], list(range(21)), list(range(21))))


def test_written_splits_read_back_with_leading_zeros(tmp_path: Path, make_dataset) -> None:
    table = make_table([0, 1] * 20, list(range(40)), list(range(40)))
    splits = make_splits(make_dataset(), table)
    write_splits(splits, tmp_path)
    again = read_splits(tmp_path)
    for name, frame in splits.items():
        assert again[name].columns.tolist() == ["image_id", "path", "label", "group"]
        assert again[name].to_dict("list") == frame.to_dict("list")
    assert again["test"]["label"].dtype == np.int64


@pytest.fixture
def given_files(tmp_path: Path, make_dataset):
    """Write three split files and make the splits; the table has images 0000 to 0005, labels 0 1 0 1 0 1."""

    def make(train: str, valid: str = "image_id\n0002\n0003\n", test: str = "image_id\n0004\n0005\n"):
        paths = {"train": tmp_path / "a.csv", "valid": tmp_path / "b.csv", "test": tmp_path / "c.csv"}
        for path, text in zip(paths.values(), (train, valid, test), strict=True):
            path.write_text(text)
        split = {"kind": "files"} | {name: str(path) for name, path in paths.items()}
        table = make_table([0, 1] * 3, list(range(6)), list(range(6)))
        return make_splits(make_dataset(split=split), table)

    return make


def test_given_files_keep_their_rows_and_order(given_files) -> None:
    splits = given_files("note,image_id,label\nx,0001,1.0\ny,0000,0\n")
    assert splits["train"]["image_id"].tolist() == ["0001", "0000"]
    assert splits["train"]["label"].tolist() == [1, 0]
    assert splits["train"]["path"].tolist() == ["images/0001.png", "images/0000.png"]


@pytest.mark.parametrize(
    "train, expected",
    [
        ("image_id\n0001\n9999\n", r"a\.csv: row 3: image id '9999' is not in the dataset"),
        ("note,image_id\nx,\n", r"a\.csv: row 2: no image id"),
        ("image_id,label\n0001,0\n", r"a\.csv: row 2: label '0' of '0001'.*class index 1"),
        ("name\n0001\n", r"a\.csv: no column image_id"),
        ("image_id\n", r"a\.csv: has no rows"),
        ("image_id\n0000\n0001\n0002\n", r"train row 4 \(0002\) and valid row 2 \(0002\): the same image"),
    ],
)
def test_unusable_given_files(given_files, train: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        given_files(train)
