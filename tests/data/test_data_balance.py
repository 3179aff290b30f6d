"""Classes of equal size: who is left out, and where that is said."""

from __future__ import annotations

import logging

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from test_data_splits import FEW, tables

from meddiff.config.dataset_slices import SplitParams, parse_slice, slice_of
from meddiff.config.schema.data.split import GivenSplit, RecipeSplit
from meddiff.data.flow import Origin, read_origin
from meddiff.data.splitting.balance import balanced
from meddiff.data.splitting.drawing import draw_splits
from meddiff.data.splitting.splits import write_origin


@FEW
@given(table=tables(), order=st.randoms(use_true_random=False), seed=st.integers(0, 3))
def test_classes_are_as_large_as_the_smallest_and_row_order_has_no_part(table, order, seed) -> None:
    recipe = RecipeSplit(valid=0.2, test=0.2, seed=seed)
    splits = draw_splits(table, recipe)
    if any(frame.empty for frame in splits.values()):
        return
    found, left_out = balanced(splits, {"train": "smallest"}, recipe)
    counts = splits["train"]["label"].value_counts()
    assert set(found["train"]["label"].value_counts()) == {counts.min()}
    assert left_out == {"train": counts.sum() - counts.min() * len(counts)}
    kept = splits["train"][splits["train"]["image_id"].isin(found["train"]["image_id"])]
    pd.testing.assert_frame_equal(found["train"], kept.reset_index(drop=True))
    for name in ("valid", "test"):
        pd.testing.assert_frame_equal(found[name], splits[name])
    positions = list(range(len(splits["train"])))
    order.shuffle(positions)
    other, _ = balanced({"train": splits["train"].iloc[positions]}, {"train": "smallest"}, recipe)
    assert sorted(other["train"]["image_id"]) == sorted(found["train"]["image_id"])


def test_the_seed_decides_who_is_left_out() -> None:
    table = pd.DataFrame({"image_id": [f"{i:02d}" for i in range(40)], "label": [0] * 30 + [1] * 10})
    kept = {
        tuple(balanced({"test": table}, {"test": "smallest"}, RecipeSplit(seed=seed))[0]["test"]["image_id"])
        for seed in range(4)
    }
    assert len(kept) == 4
    given_files = GivenSplit(kind="files", train="a.csv", valid="b.csv", test="c.csv")
    _, left_out = balanced({"test": table}, {"test": "smallest"}, given_files)
    assert left_out == {"test": 20}
    assert balanced({"test": table}, None, RecipeSplit())[1] == {}


def test_it_is_said_in_the_log_and_beside_the_splits(tmp_path, caplog) -> None:
    table = pd.DataFrame({"image_id": list("abcde"), "label": [0, 0, 0, 1, 1]})
    with caplog.at_level(logging.INFO, "meddiff"):
        _, left_out = balanced({"train": table}, {"train": "smallest"}, RecipeSplit())
    assert "train: 1 images" in caplog.text and "2 of each are kept" in caplog.text
    splits = {"train": table.assign(group=table["image_id"])}
    write_origin(RecipeSplit(), splits, tmp_path, 3, {}, left_out)
    assert read_origin(tmp_path / "origin.json") == Origin(3, {}, groups=False, balanced={"train": 1})
    write_origin(RecipeSplit(), splits, tmp_path, 3, {}, {})
    assert read_origin(tmp_path / "origin.json").balanced == {}
    assert "balanced" not in (tmp_path / "origin.json").read_text()


def test_only_who_asks_for_it_has_other_splits(make_dataset) -> None:
    plain, wanted = make_dataset(), make_dataset(balance={"train": "smallest"})
    assert "balance" not in slice_of(plain, SplitParams)
    assert parse_slice(slice_of(wanted, SplitParams), SplitParams).balance == {"train": "smallest"}
    official = {name: {"name": f"{name}.csv", "sha256": "0" * 64} for name in ("train", "valid", "test")}
    with pytest.raises(ValidationError, match=r"published splits .*sampler: balanced"):
        make_dataset(balance={"train": "smallest"}, split={"kind": "official", **official})
    with pytest.raises(ValidationError, match="smallest"):
        make_dataset(balance={"train": "largest"})
