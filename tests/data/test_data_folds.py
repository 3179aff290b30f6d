"""Folds: every image is tested once, groups and copies stay together, and row order has no part."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_data_splits import FEW, make_table, tables

from meddiff.config.schema.data.split import FoldsSplit
from meddiff.data.splitting.drawing import draw_fold
from meddiff.data.splitting.splits import make_splits, origin_note
from meddiff.errors import DataError

drawn = st.builds(
    FoldsSplit,
    kind=st.just("folds"),
    folds=st.integers(2, 4),
    valid=st.sampled_from([0.1, 0.2]),
    seed=st.integers(0, 9),
)


def all_folds(table: pd.DataFrame, split: FoldsSplit) -> list[dict[str, pd.DataFrame]]:
    return [
        draw_fold(table, split.model_copy(update={"fold": number})) for number in range(1, split.folds + 1)
    ]


def units(table: pd.DataFrame) -> int:
    """At least so many: groups that are connected by copies may be fewer."""
    return min(table["group"].nunique(), table["sha256"].nunique())


@FEW
@given(table=tables(), split=drawn)
def test_every_image_is_tested_once_and_nothing_leaks(table: pd.DataFrame, split: FoldsSplit) -> None:
    try:
        folds = all_folds(table, split)
    except DataError as error:
        assert "leave one without test images" in str(error)
        return
    tested = [image_id for splits in folds for image_id in splits["test"]["image_id"]]
    assert sorted(tested) == sorted(table["image_id"])
    content = dict(zip(table["image_id"], table["sha256"], strict=True))
    for splits in folds:
        ids = [image_id for frame in splits.values() for image_id in frame["image_id"]]
        assert sorted(ids) == sorted(table["image_id"])
        for key in (lambda f: set(f["group"]), lambda f: set(f["image_id"].map(content))):
            train, valid, test = (key(frame) for frame in splits.values())
            assert not train & valid and not train & test and not valid & test


@FEW
@given(table=tables(), split=drawn, order=st.randoms(use_true_random=False))
def test_row_order_has_no_part_in_folds(table: pd.DataFrame, split: FoldsSplit, order) -> None:
    positions = list(range(len(table)))
    order.shuffle(positions)
    try:
        folds = all_folds(table, split)
    except DataError:
        return
    for one, other in zip(folds, all_folds(table.iloc[positions], split), strict=True):
        for name in one:
            pd.testing.assert_frame_equal(one[name], other[name])


@FEW
@given(counts=st.lists(st.integers(10, 60), min_size=2, max_size=4), split=drawn)
def test_without_groups_folds_are_stratified(counts: list[int], split: FoldsSplit) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    table = make_table(labels, list(range(len(labels))), list(range(len(labels))))
    for splits in all_folds(table, split):
        for label, count in enumerate(counts):
            assert abs((splits["test"]["label"] == label).sum() - count / split.folds) <= 1
            assert abs((splits["valid"]["label"] == label).sum() - split.valid * count) <= 2


def test_folds_validate_on_images_of_their_own() -> None:
    """The lot of one fold's validation split is not that of the next: they are no copies but for the test."""
    table = make_table([0, 1] * 100, list(range(200)), list(range(200)))
    first, second, _ = all_folds(table, FoldsSplit(kind="folds", folds=3, valid=0.2))
    common = set(first["valid"]["image_id"]) & set(second["valid"]["image_id"])
    assert len(common) < 0.8 * len(first["valid"])


def test_seed_decides_the_folds() -> None:
    table = make_table([0, 1] * 30, list(range(60)), list(range(60)))
    split = FoldsSplit(kind="folds", folds=3, fold=1)
    found = {
        tuple(draw_fold(table, split.model_copy(update={"seed": seed}))["test"]["image_id"])
        for seed in range(5)
    }
    assert len(found) == 5


def test_a_dataset_of_folds_is_split_one_fold_at_a_time() -> None:
    table = make_table([0, 1] * 30, list(range(60)), list(range(60)))
    with pytest.raises(DataError, match="name it, such as `fold: 1`"):
        draw_fold(table, FoldsSplit(kind="folds"))
    with pytest.raises(DataError, match=r"5 folds of 3 groups .* expected `folds: 3` or fewer"):
        draw_fold(make_table([0, 1, 1], [0, 1, 2], [0, 1, 2]), FoldsSplit(kind="folds", fold=2))


def test_splits_of_a_fold_are_checked_as_others_are(make_dataset) -> None:
    table = make_table([0, 1] * 30, list(range(60)), list(range(60)))
    dataset = make_dataset(split={"kind": "folds", "folds": 3, "fold": 2})
    splits = make_splits(dataset, table)
    assert [len(splits[name]) for name in ("train", "valid", "test")] == pytest.approx([31, 9, 20], abs=1)
    assert origin_note(dataset.split).startswith("Fold 2 of 3, drawn")
    rare = table.assign(label=np.r_[1, np.zeros(59, dtype=int)])
    with pytest.raises(DataError, match="no image of class"):
        make_splits(dataset, rare)
