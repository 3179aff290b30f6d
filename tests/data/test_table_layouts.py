"""Tables as people have them: labels, rows, names of images, groups and splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from meddiff.config import DatasetConfig
from meddiff.data.layouts.files import locate
from meddiff.data.layouts.folder import ImageFolder
from meddiff.data.layouts.rows import read_rows, read_table
from meddiff.data.layouts.tabular import image_cells
from meddiff.data.splitting.splits import make_splits

NAMES = ["a/001.png", "a/002.JPG", "b/003.png", "b/1.2.840.png"]
CLASSES = [{"value": "x", "name": "X"}, {"value": "y", "name": "Y"}]


def dataset(layout: dict[str, Any], classes: list[dict] = CLASSES, **changes: Any) -> DatasetConfig:
    table = {"kind": "table", "csv": "t.csv", "image_column": "file", "label_column": "kind"}
    document = {
        "title": "t",
        "source": {"kind": "local"},
        "format": table | layout,
        "classes": classes,
        "image_size": 8,
        "split": {"kind": "recipe"},
    }
    return DatasetConfig.model_validate(document | changes)


def put(root: Path, *lines: str, names: list[str] = NAMES) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(root / name)
    (root / "t.csv").write_text("\n".join(lines) + "\n")
    return root


def paths(root: Path, names: list[str], layout: dict[str, Any] | None = None) -> list[str]:
    table = read_table(dataset(layout or {}), put(root, "file,kind", *(f"{name},x" for name in names)))
    return table["path"].tolist()


@pytest.mark.parametrize(
    "names",
    [
        ["a/001.png", "a/002.JPG", "b/003.png", "b/1.2.840.png"],
        ["001.png", "002.JPG", "003.png", "1.2.840.png"],
        ["001", "002", "003", "1.2.840"],
        ["a/001", "a/002", "b/003", "b/1.2.840"],
        ["./a/001.png", "./a/002.JPG", "./b/003.png", "./b/1.2.840.png"],
        ["a\\001.png", "a\\002.JPG", "b\\003.png", "b\\1.2.840.png"],
        ["C:\\data\\a\\001.png", "C:\\data\\a\\002.JPG", "C:\\data\\b\\003.png", "C:\\data\\b\\1.2.840.png"],
        ["/home/me/d/a/001.png", "/home/me/d/a/002.JPG", "/home/me/d/b/003.png", "/home/me/d/b/1.2.840.png"],
        ["../d/a/001.png", "../d/a/002.JPG", "../d/b/003.png", "../d/b/1.2.840.png"],
        ["{root}/a/001.png", "{root}/a/002.JPG", "{root}/b/003.png", "{root}/b/1.2.840.png"],
    ],
)
def test_images_are_found_as_tables_name_them(tmp_path: Path, names: list[str]) -> None:
    assert paths(tmp_path, [name.replace("{root}", str(tmp_path)) for name in names]) == NAMES


def test_a_home_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert paths(tmp_path, [f"~/{tmp_path.name}/a/001.png"]) == ["a/001.png"]


def test_the_same_number_of_folders_is_taken_from_all_paths(tmp_path: Path) -> None:
    put(tmp_path, names=[*NAMES, "c/d/005.png", "c/d/006.png"])
    folder = ImageFolder(tmp_path, dataset({}).format)
    # Two are right for most; with three, the last would be found as a/001.png.
    names = ["x/y/c/d/005.png", "x/y/c/d/006.png", "x/y/z/a/001.png", "x/y/z/005.png"]
    found = locate(pd.Series(names), folder, list(folder.walk()))
    assert found.path.tolist()[:2] == ["c/d/005.png", "c/d/006.png"]
    assert found.missing.tolist() == [False, False, True, True]


def test_folders_may_be_patterns(tmp_path: Path) -> None:
    put(tmp_path, names=["images_001/images/1.png", "images_002/images/2.png", "other/3.png"])
    layout = {"image_dir": "images_*/images"}
    folder = ImageFolder(tmp_path, dataset(layout).format)
    assert sorted(folder.walk()) == ["images_001/images/1.png", "images_002/images/2.png"]
    found = locate(pd.Series(["1", "2.png", "3"], index=["r1", "r2", "r3"]), folder, list(folder.walk()))
    assert found.path.tolist()[:2] == ["images_001/images/1.png", "images_002/images/2.png"]
    assert found.missing.tolist() == [False, False, True]


@given(st.permutations(range(len(NAMES))), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_order_and_copies_of_rows_change_no_path(tmp_path_factory, order: list[int], prefix: int) -> None:
    root = put(tmp_path_factory.mktemp("d"))
    folder = ImageFolder(root, dataset({}).format)
    names = ["/".join(["up"] * prefix + [NAMES[i]]) for i in order]
    found = locate(pd.Series(names + names), folder, NAMES)
    assert found.path.tolist() == [NAMES[i] for i in order] * 2
    assert not found.missing.any() and not found.problems


@pytest.mark.parametrize("written", ["True", "TRUE", "true"])
def test_true_is_what_programs_write_for_it(tmp_path: Path, written: str) -> None:
    classes = [{"value": False, "name": "no"}, {"value": True, "name": "yes"}]
    negative = {"True": "False", "TRUE": "FALSE", "true": "false"}[written]
    root = put(tmp_path, "file,kind", f"001,{written}", f"002,{negative}")
    assert read_table(dataset({}, classes), root)["label"].tolist() == [1, 0]


def test_yes_and_no_are_words_and_numbers_are_numbers(tmp_path: Path) -> None:
    classes = [{"values": ["no", 1.5], "name": "no"}, {"values": ["yes", 2], "name": "yes"}]
    root = put(tmp_path, "file,kind", "001,yes", "002,no", "003,1.5", "1.2.840,2.0")
    assert read_table(dataset({}, classes), root)["label"].tolist() == [1, 0, 0, 1]


def test_several_values_a_cell(tmp_path: Path) -> None:
    root = put(tmp_path, "file,kind", "001,x|z", "002, z | y", "003,z", '1.2.840,"x|y"')
    layout = {"label_separator": "|", "others": "leave_out", "several": "leave_out"}
    rows = read_rows(dataset(layout), ImageFolder(root, dataset(layout).format), NAMES)
    assert rows.table["label"].to_dict() == {"row 2": 0, "row 3": 1}
    assert rows.flow.left_out == {"a label of no class": 1, "labels of several classes": 1}


def test_columns_of_ones_with_a_value_for_none(tmp_path: Path) -> None:
    root = put(tmp_path, "file,x,z", "001,1.0,0", "002,0,0", "003,,0", "1.2.840,-1,1")
    one_hot = {"columns": ["x", "z"], "none": "y", "blank": "negative", "uncertain": "positive"}
    layout = {"label_column": None, "one_hot": one_hot}
    assert read_table(dataset(layout), root)["label"].tolist() == [0, 1, 1, 0]


def test_conditions_all_hold(tmp_path: Path) -> None:
    root = put(tmp_path, "file,kind,age,view", "001,x,20,PA", "002,x,17,PA", "003,x,30,NA", "1.2.840,y,90,PA")
    where = [
        {"column": "age", "at_least": 18},
        {"column": "view", "present": True},
        {"column": "kind", "not": ["y", "q"]},
        {"column": "age", "less": 80},
        {"column": "view", "in": ["PA", "AP"]},
    ]
    rows = read_rows(dataset({"where": where}), ImageFolder(root, dataset({}).format), NAMES)
    assert rows.table["image_id"].tolist() == ["001"]
    assert rows.flow.left_out == {
        "age is not 18 or more": 1,
        "view is blank": 1,
        "kind is y or q": 1,
        "age is not below 80": 0,
        "view is not PA or AP": 0,
    }


def test_a_parquet_file_is_a_csv_with_types(tmp_path: Path) -> None:
    put(tmp_path)
    frame = pd.DataFrame(
        {
            "file": ["001", "002", "003", "1.2.840"],
            "kind": [1.0, 0.0, 1.0, 0.0],
            "patient": ["007", None, "007", "8"],
            "sick": [True, False, True, False],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    numbers = [{"value": 0, "name": "a"}, {"value": 1, "name": "b"}]
    layout = {"csv": "t.parquet", "group_column": "patient"}
    table = read_table(dataset(layout, numbers), tmp_path)
    assert table["label"].tolist() == [1, 0, 1, 0]
    assert table["group"].tolist() == ["007", "002", "007", "8"]
    switches = [{"value": False, "name": "a"}, {"value": True, "name": "b"}]
    assert read_table(dataset(layout | {"label_column": "sick"}, switches), tmp_path)["label"].tolist() == [
        *(1, 0, 1, 0)
    ]


def test_tables_are_joined_and_columns_derived(tmp_path: Path) -> None:
    root = put(tmp_path, "file,kind", "001,x", "002,y", "003,x", "1.2.840,y")
    (root / "more.csv").write_text("id,lesion\n001,L1\n003,L1\n002,L2\n")
    layout = {
        "join": [{"csv": "more.csv", "key": "id", "to": "file", "missing": "blank"}],
        "columns": {"first": {"column": "file", "pattern": "(.).*"}},
        "group_columns": ["lesion", "first"],
    }
    table = read_table(dataset(layout), root)
    # 001, 002 and 003 begin with 0; the last row has no lesion.
    assert table["group"].tolist() == ["L1", "L1", "L1", "1"]
    cells = image_cells(dataset(layout).format, ImageFolder(root, dataset(layout).format), NAMES, "lesion")
    assert cells.to_dict() == {"001": "L1", "002": "L2", "003": "L1", "1.2.840": ""}


def test_tables_of_one_name_are_told_apart(tmp_path: Path) -> None:
    root = put(tmp_path, "file,kind")
    for part, lines in {"one": "001,x\n002,y\n", "two": "003,x\n1.2.840,z\n"}.items():
        (root / part).mkdir()
        (root / part / "t.csv").write_text(f"file,kind\n{lines}")
    of = dataset({"csv": ["one/t.csv", "two/t.csv"]})
    rows = read_rows(of, ImageFolder(root, of.format), NAMES)
    assert rows.table.index.tolist() == ["one/t.csv row 2", "one/t.csv row 3", "two/t.csv row 2"]
    assert len(rows.problems) == 1 and rows.problems[0].startswith("two/t.csv row 3: unknown label 'z'")


def test_the_first_of_every_group_is_kept(tmp_path: Path) -> None:
    root = put(tmp_path, "file,kind,patient", "001,x,p", "002,y,q", "003,x,p", "1.2.840,y,")
    rows = read_table(dataset({"group_column": "patient", "keep": "first_per_group"}), root)
    assert rows["image_id"].tolist() == ["001", "002", "1.2.840"]


def test_rows_of_one_image_are_merged(tmp_path: Path) -> None:
    root = put(tmp_path, "file,kind", "001,x", "001,x", "002,y", "003,x", "003,y")
    layout = {"repeats": "merge", "several": "leave_out"}
    rows = read_rows(dataset(layout), ImageFolder(root, dataset(layout).format), NAMES)
    assert rows.table["image_id"].tolist() == ["001", "002"]
    assert rows.flow.used == 2


def test_a_share_of_the_training_rows_is_drawn_for_validation(tmp_path: Path) -> None:
    names = [f"{i:03d}.png" for i in range(80)]
    lines = [f"{i:03d},{'xy'[i % 2]},{'test' if i >= 60 else 'rest'},{i // 4}" for i in range(80)]
    root = put(tmp_path, "file,kind,part,patient", *lines, names=names)
    split = {"kind": "column", "column": "part", "train": ["rest"], "valid": 0.25, "test": ["test"]}
    of = dataset({"group_column": "patient"}, split=split)
    table = read_table(of, root).assign(sha256=lambda t: t["image_id"]).reset_index(drop=True)
    splits = make_splits(of, table)
    assert {name: len(part) for name, part in splits.items()} == {"train": 44, "valid": 16, "test": 20}
    assert splits["test"]["image_id"].tolist() == [f"{i:03d}" for i in range(60, 80)]
    assert not set(splits["train"]["group"]) & set(splits["valid"]["group"])
    again = make_splits(of, table.sample(frac=1, random_state=0, ignore_index=True))
    assert all(again[name].equals(splits[name]) for name in splits)
