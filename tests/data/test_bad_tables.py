"""What is wrong with a table or a folder is said with file, row, what was expected, and the YAML to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from meddiff.config import DatasetConfig
from meddiff.data.leaks.report import find_leaks
from meddiff.data.obtain.fetch import fetch, read_manifest
from meddiff.data.splitting.splits import make_splits
from meddiff.data.validate import validate_dataset
from meddiff.errors import DataError

NAMES = ["a/001.png", "a/002.png", "b/003.png", "b/004.png", "b/NA.png", "b/006.png"]
ROWS = [
    "001.png,p1,x,30",
    "002.png,p2,y,40",
    "003.png,p3,x,50",
    "004.png,p4,y,60",
    "NA.png,p5,NA,",
    "006.png,p6,y,1",
]
HEADER = "file,patient,kind,age"
LAYOUT: dict[str, Any] = {"kind": "table", "csv": "t.csv", "image_column": "file", "label_column": "kind"}
CLASSES = [{"value": "x", "name": "X"}, {"values": ["y", "NA"], "name": "Y"}]


def dataset(layout: dict[str, Any], **changes: Any) -> DatasetConfig:
    document = {
        "title": "t",
        "source": {"kind": "local"},
        "format": LAYOUT | layout,
        "classes": CLASSES,
        "image_size": 8,
        "channels": 1,
        "split": {"kind": "recipe", "valid": 0.3, "test": 0.3},
    }
    return DatasetConfig.model_validate(document | changes)


def put(root: Path, rows: list[str] | None = None, header: str = HEADER) -> Path:
    rng = np.random.default_rng(0)
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8)).save(root / name)
    (root / "t.csv").write_text("\n".join([header, *(ROWS if rows is None else rows)]) + "\n")
    return root


def checked(root: Path, of: DatasetConfig):
    fetch("t", of, root, root.parent / "raw.json")
    missing = root.parent / "missing.csv"
    return validate_dataset(of, root, read_manifest(root.parent / "raw.json"), 1, missing=missing)


def test_what_is_right_is_right(tmp_path: Path) -> None:
    table = checked(put(tmp_path / "d"), dataset({})).table.set_index("image_id")
    # A label NA is a label, an id 001 stays 001, and files are found in whatever folder they are.
    assert table["label"].to_dict() == {"001": 0, "002": 1, "003": 0, "004": 1, "NA": 1, "006": 1}
    assert table.at["NA", "path"] == "b/NA.png"


BAD: list[tuple[dict[str, Any], list[str], str]] = [
    ({}, [ROWS[0], "002.png,p2,z,4"], r"row 3: unknown label 'z'; known are x, y, NA \(add the value"),
    ({}, [ROWS[0], "002.png,p2,X,4"], r"row 3: unknown label 'X'.*or say `others: leave_out`"),
    ({}, [ROWS[0], "002.png,p2,,4"], r"row 3: no label; known are x, y, NA \(`blank: leave_out`"),
    ({}, [ROWS[0], ",p2,y,4"], r"row 3: no image name"),
    ({}, [ROWS[0], "002.png,p2,y"], r"row 3: 3 cells, the header has 4"),
    ({}, [ROWS[0], "../012.png,p2,y,4"], r"row 3: '../012.png' is outside the dataset's folder"),
    ({}, [ROWS[0], "/etc/x.png,p2,y,4"], r"row 3: '/etc/x.png' is outside the dataset's folder"),
    (
        {},
        [ROWS[0], "012.png,p2,y,4"],
        r"1 of 2 images of the table found in .* not there is '012",
    ),
    ({}, [ROWS[0], "012.png,p2,y,4"], r"There are 6 image files below \. \(6 .png\)\. `missing: leave_out`"),
    ({}, [ROWS[0], "na.png,p2,y,4"], r"b/NA.png differs from 'na.png' in upper and lower case"),
    ({}, [ROWS[0], "001.png,p9,y,4"], r"row 3: image id '001' is already in row 2"),
    ({"image_column": "image"}, ROWS, r"t.csv: no column image; the columns there are: file, patient"),
    ({"label_column": "dx"}, ROWS, r"t.csv: no column dx"),
    ({"group_column": "subject"}, ROWS, r"t.csv: no column subject"),
    ({"group_columns": ["patient", "lesion"]}, ROWS, r"t.csv: no column lesion"),
    ({"where": [{"column": "view", "equal": "PA"}]}, ROWS, r"format.where: no column view"),
    ({"where": [{"column": "patient", "less": 4}]}, ROWS, r"row 2: patient is 'p1', which is no number"),
    ({"where": [{"column": "age", "at_least": 500}]}, ROWS, r"no image of class 'X'"),
    ({"columns": {"kind": {"column": "file", "pattern": "(.*)"}}}, ROWS, r"has a column 'kind' already"),
    (
        {"columns": {"id": {"column": "file", "pattern": r"(\d+)\.png"}}},
        ROWS,
        r"row 6: file 'NA.png'",
    ),
    ({"lists": {"part": {"train": "nothing.txt"}}}, ROWS, r"has no file nothing.txt"),
    ({"join": [{"csv": "more.csv", "key": "file"}]}, ROWS, r"has no file more.csv"),
    ({"image_dir": "c"}, ROWS, r"has no folder c \(format.image_dir\)"),
    ({"image_dir": ["a", "c*"]}, ROWS, r"has no folder c\* \(format.image_dir\)"),
    ({"image_dir": ["a"]}, ROWS, r"2 of 6 images of the table found"),
    ({"csv": ["t.csv", "u.csv"]}, ROWS, r"has no file u.csv"),
    ({"csv": "t.parquet"}, ROWS, r"has no file t.parquet"),
    (
        {"label_separator": "|"},
        [ROWS[0], "002.png,p2,x|y,4"],
        r"row 3: labels x, y are of several classes",
    ),
    (
        {"label_column": None, "one_hot": {"columns": ["x", "y"]}},
        ROWS,
        r"no column x, y; the columns there are",
    ),
]


@pytest.mark.parametrize("layout, rows, expected", BAD)
def test_what_is_wrong_is_said(
    tmp_path: Path, layout: dict[str, Any], rows: list[str], expected: str
) -> None:
    with pytest.raises(DataError, match=expected):
        checked(put(tmp_path / "d", rows), dataset(layout))


@pytest.mark.parametrize(
    "cell, expected",
    [
        ("", r"row 3: y is ''; say what a blank cell means: `one_hot: \{blank: negative\}`"),
        ("-1.0", r"row 3: y is '-1'; say what -1 means: `one_hot: \{uncertain: leave_out\}`"),
        ("maybe", r"row 3: y is 'maybe'; expected 1 or 0"),
        ("0", r"row 3: a 1 in none of the columns of one_hot \(.*`others: leave_out`"),
    ],
)
def test_cells_of_one_hot_columns(tmp_path: Path, cell: str, expected: str) -> None:
    root = put(tmp_path / "d", ["001.png,1,0", f"002.png,0,{cell}"], "file,x,y")
    with pytest.raises(DataError, match=expected):
        checked(root, dataset({"label_column": None, "one_hot": {"columns": ["x", "y"]}}))


def test_a_name_that_may_be_two_files(tmp_path: Path) -> None:
    root = put(tmp_path / "d")
    Image.new("L", (8, 8)).save(root / "a/006.png")
    with pytest.raises(DataError, match=r"row 7: '006.png' could be any of a/006.png, b/006.png"):
        checked(root, dataset({}))


def test_rows_that_cannot_be_joined(tmp_path: Path) -> None:
    root, layout = put(tmp_path / "d"), {"join": [{"csv": "more.csv", "key": "id", "to": "patient"}]}
    (root / "more.csv").write_text("id,site\np1,1\np1,2\n")
    with pytest.raises(DataError, match=r"more.csv.*\n.*row 3: id 'p1' is there before"):
        checked(root, dataset(layout))
    (root / "more.csv").write_text("id,site\np1,1\n")
    with pytest.raises(DataError, match=r"`missing: blank` leaves the cells.*\n.*row 3: patient 'p2' is not"):
        checked(root, dataset(layout))
    (root / "more.csv").write_text("id,kind\n" + "".join(f"p{i},{i}\n" for i in range(1, 7)))
    with pytest.raises(DataError, match=r"column 'kind' is in both tables and differs"):
        checked(root, dataset(layout))


def test_tables_with_other_columns_are_not_one(tmp_path: Path) -> None:
    root = put(tmp_path / "d")
    (root / "u.csv").write_text("file,patient\n001.png,p1\n")
    with pytest.raises(DataError, match=r"u.csv: its columns are not those of t.csv: age, kind"):
        checked(root, dataset({"csv": ["t.csv", "u.csv"]}))


def test_a_semicolon_is_noticed(tmp_path: Path) -> None:
    root = put(tmp_path / "d", [row.replace(",", ";") for row in ROWS], HEADER.replace(",", ";"))
    with pytest.raises(DataError, match=r"no column file, kind.*say `delimiter: ';'` under format"):
        checked(root, dataset({}))
    assert len(checked(root, dataset({"delimiter": ";"})).table) == 6


def test_an_image_on_two_lists(tmp_path: Path) -> None:
    root = put(tmp_path / "d")
    (root / "train.txt").write_text("001.png\n002.png\n")
    (root / "test.txt").write_text("003.png\n002.png\n")
    lists = {"part": {"train": "train.txt", "test": "test.txt"}}
    with pytest.raises(DataError, match=r"test.txt: line 2: '002.png' is in the list 'train', too"):
        checked(root, dataset({"lists": lists}))


def test_no_row_is_of_a_split(tmp_path: Path) -> None:
    split = {"kind": "column", "column": "kind", "train": ["x"], "valid": ["y"], "test": ["z"]}
    with pytest.raises(DataError, match=r"split.kind \(cells there are: .*\n.*no row has one of the cells"):
        checked(put(tmp_path / "d"), dataset({}, split=split))


@pytest.mark.parametrize("published", [False, True])
def test_a_patient_in_two_parts(tmp_path: Path, caplog, published: bool) -> None:
    rows = ["001.png,p1,x,1", "002.png,p2,y,1", "003.png,p3,x,2", "004.png,p4,y,2", "NA.png,p1,x,3"]
    rows.append("006.png,p6,y,3")
    split = {"kind": "column", "column": "age", "train": [1], "valid": [2], "test": [3]}
    split |= {"published": published}
    of = dataset({"group_column": "patient"}, split=split)
    table = checked(put(tmp_path / "d", rows), of).table
    if not published:
        with pytest.raises(DataError, match=r"train row 2 \(001\) and test row .*: the same group 'p1'"):
            make_splits(of, table)
        return
    splits = make_splits(of, table)
    assert {name: sorted(part["image_id"]) for name, part in splits.items()} == {
        "train": ["001", "002"],
        "valid": ["003", "004"],
        "test": ["006", "NA"],
    }
    # Files of splits share no group; here they have one name each.
    assert not set(splits["train"]["group"]) & set(splits["test"]["group"])
    assert "THE PUBLISHED SPLITS SHARE GROUPS: 1 of them" in caplog.text
    pairs = find_leaks(of, splits, table).pairs
    pairs = pairs[pairs["kind"] == "same_group"]
    assert pairs[["column", "value", "image_id", "other_image_id"]].to_numpy().tolist() == [
        ["group", "p1", "NA", "001"]
    ]


def test_missing_images_are_listed(tmp_path: Path) -> None:
    rows = [*ROWS, *(f"{i}.png,p9,x,1" for i in range(300, 340))]
    root = put(tmp_path / "d", rows)
    with pytest.raises(DataError, match="6 of 46 images of the table found"):
        checked(root, dataset({}))
    listed = (tmp_path / "missing.csv").read_text().splitlines()
    assert listed[:2] == ["row,image", "row 8,300.png"]
    assert len(listed) == 41
    found = checked(root, dataset({"missing": "leave_out"}))
    assert found.flow.left_out == {"image not found": 40}
    assert len(found.table) == 6
    put(tmp_path / "d")
    checked(root, dataset({}))
    assert not (tmp_path / "missing.csv").exists()
