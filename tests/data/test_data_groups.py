"""Groups: what a patient or lesion connects, at any remove, and images of which neither is known."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.config.schema.data.split import RecipeSplit
from meddiff.data.groups import connected, group_names, is_missing
from meddiff.data.layouts.rows import read_published, read_table
from meddiff.data.leaks.report import find_leaks
from meddiff.data.splitting.splits import draw_splits, make_splits, write_splits
from meddiff.data.tables import SPLITS, read_splits


def partition(names: list[object]) -> set[frozenset[int]]:
    rows: dict[object, set[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, set()).add(row)
    return {frozenset(part) for part in rows.values()}


def closure(keys: list[tuple[str, ...]]) -> set[frozenset[int]]:
    """Merge sets of rows that share a key until nothing changes: what connected means, word for word."""
    parts = [{row} for row in range(len(keys))]
    shared = [
        {row for row in range(len(keys)) if keys[row][column] == value}
        for column in range(len(keys[0]))
        for value in {key[column] for key in keys if key[column]}
    ]
    changed = True
    while changed:
        changed = False
        for rows in shared:
            touched = [part for part in parts if part & rows]
            if len(touched) > 1:
                parts = [part for part in parts if not part & rows] + [set().union(*touched)]
                changed = True
    return {frozenset(part) for part in parts}


cells = st.sampled_from(["", "", "1", "2", "3", "4", "5", "6"])


@settings(max_examples=60)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=14))
def test_groups_are_connected_components(keys: list[tuple[str, str]]) -> None:
    ids = pd.Series([f"image {i}" for i in range(len(keys))], dtype=object)
    frame = pd.DataFrame(keys, columns=["patient", "lesion"], dtype=object)
    names = group_names(ids, {name: frame[name] for name in frame})
    assert partition(names.tolist()) == closure(keys)
    assert partition(connected(frame.mask(frame == "", None)).tolist()) == closure(keys)


def isic_groups(tmp_path: Path, make_dataset, *rows: str) -> list[str]:
    lines = [f"ISIC_{i},{i % 2},{row}" for i, row in enumerate(rows)]
    (tmp_path / "metadata.csv").write_text(
        "\n".join(["image_name,target,patient_id,lesion_id", *lines]) + "\n"
    )
    return read_table(make_dataset(format={"kind": "isic"}), tmp_path)["group"].tolist()


@pytest.mark.parametrize(
    "rows, expected",
    [
        (["P1,L1", ",L1"], ["P1", "P1"]),
        ([",L1", "P1,L1"], ["P1", "P1"]),
        (["P1,L1", "P2,L1", "P2,", ",L2"], ["P1", "P1", "P1", "L2"]),
        (["P1,NA", "P2,NA", "nan,L1", "N/A,null"], ["P1", "P2", "L1", "ISIC_3"]),
        (["X,", ",X", "ISIC_3,", ","], ["patient X", "lesion X", "patient ISIC_3", "image ISIC_3"]),
    ],
    ids=["lesion of a patient", "in any order", "chain", "missing", "one name, two groups"],
)
def test_patients_and_lesions(tmp_path: Path, make_dataset, rows: list[str], expected: list[str]) -> None:
    assert isic_groups(tmp_path, make_dataset, *rows) == expected


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "NaN", "null", "None", "<NA>", "Unknown", "-", "?"])
def test_what_names_no_group(text: str) -> None:
    assert is_missing(pd.Series([text])).all()


@pytest.mark.parametrize("text", ["0", "-1", "Nathan", "P-", "NA1", "unknown 3"])
def test_what_names_a_group(text: str) -> None:
    assert not is_missing(pd.Series([text])).any()


@pytest.mark.parametrize("missing", ["", "NA"])
def test_images_without_a_patient_do_not_end_up_together(
    tmp_path: Path, make_dataset, caplog, missing: str
) -> None:
    """40 of 60 rows have no patient: as one group they would all be in one split."""
    rows = [f"{i:02d}.png,{missing if i < 40 else f'p{i // 2}'},{i % 2}" for i in range(60)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,patient,diagnosis", *rows]) + "\n")
    with caplog.at_level(logging.INFO, "meddiff"):
        table = read_table(make_dataset(), tmp_path)
    assert table["group"].tolist() == [f"{i:02d}" if i < 40 else f"p{i // 2}" for i in range(60)]
    assert "60 images in 50 groups, the largest of 2" in caplog.text
    assert "40 images have no patient: each is its own group" in caplog.text
    splits = draw_splits(table.assign(sha256=table["image_id"]), RecipeSplit(valid=0.2, test=0.2))
    assert [len(splits[name]) for name in SPLITS] == [36, 12, 12]


def test_published_files_are_connected_and_reported_on(tmp_path: Path, make_dataset, caplog) -> None:
    """Patient P1 is in train, lesion L1 without a patient in test; a row of train says whose lesion it is."""
    header = "image_name,target,patient_id,lesion_id\n"
    (tmp_path / "train.csv").write_text(header + "a,0,P1,\nb,1,P1,L1\n")
    (tmp_path / "valid.csv").write_text(header + "c,0,P2,\nd,1,,\n")
    (tmp_path / "test.csv").write_text(header + "e,0,,L1\nf,1,P3,\n")
    file = {"name": "x.csv", "sha256": "0" * 64}
    split = {"kind": "official", **dict.fromkeys(SPLITS, file)}
    dataset = make_dataset(format={"kind": "isic"}, split=split)
    tables, problems = read_published(dataset.format, dataset.classes, tmp_path)
    assert problems == []
    assert {name: frame["group"].tolist() for name, frame in tables.items()} == {
        "train": ["P1", "P1"], "valid": ["P2", "d"], "test": ["P1", "P3"],
    }  # fmt: skip
    table = pd.concat(tables).assign(sha256=lambda frame: frame["image_id"])
    splits = make_splits(dataset, table, tmp_path)
    assert "THE PUBLISHED SPLITS SHARE GROUPS: 1 of them, with 3 images" in caplog.text
    assert {name: frame["image_id"].tolist() for name, frame in splits.items()} == {
        "train": ["a", "b"], "valid": ["c", "d"], "test": ["e", "f"],
    }  # fmt: skip
    # Files of splits share no group: that of the test image has another name there.
    write_splits(splits, tmp_path / "splits")
    looks = [bytes([i] * 4 + [255 - i] * 28).hex() for i in (0, 15, 51, 85, 105, 150)]
    found = find_leaks(
        dataset, read_splits(tmp_path / "splits"), table.assign(pixels=table["sha256"], look=looks)
    )
    pairs = found.pairs.query("kind == 'same_group'")
    assert set(pairs["column"]) == {"group"} and set(pairs["value"]) == {"P1"}
    assert pairs[["image_id", "other_image_id"]].to_numpy().tolist() == [["e", "a"], ["e", "b"]]
