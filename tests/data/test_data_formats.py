from __future__ import annotations

from pathlib import Path

import pytest

from meddiff.data.layouts.rows import read_table
from meddiff.data.layouts.values import canonical_label
from meddiff.data.tables import read_csv
from meddiff.errors import DataError

CHEXPERT = """Path,Sex,No Finding,Pleural Effusion
CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Male,,1.0
CheXpert-v1.0-small/train/patient00002/study1/view1_frontal.jpg,Male,1.0,
CheXpert-v1.0-small/train/patient00003/study1/view1_frontal.jpg,Male,1.0,0.0
CheXpert-v1.0-small/train/patient00004/study1/view1_frontal.jpg,Male,1.0,
CheXpert-v1.0-small/train/patient00005/study1/view1_frontal.jpg,Male,1.0,1.0
CheXpert-v1.0-small/train/patient00006/study1/view1_frontal.jpg,Male,,
CheXpert-v1.0-small/train/patient00007/study1/view1_frontal.jpg,Male,,-1.0
CheXpert-v1.0-small/train/patient00008/study1/view1_frontal.jpg,Male,-1.0,1.0
CheXpert-v1.0-small/train/patient00009/study2/view1_frontal.jpg,Male,,1.0
CheXpert-v1.0-small/train/patient00009/study1/view2_lateral.jpg,Male,,1.0
CheXpert-v1.0-small/train/patient00009/study1/view2_frontal.jpg,Male,,1.0
CheXpert-v1.0-small/valid/patient00010/study1/view1_frontal.jpg,Male,,1.0
CheXpert-v1.0-small/train/patient00011/study1/view1_frontal.jpg,Male,0.0,1.0
"""
GIVEN = {"kind": "files", "train": "a.csv", "valid": "b.csv", "test": "c.csv"}


def chexpert_root(tmp_path: Path, text: str = CHEXPERT, folder: str = "CheXpert-v1.0-small") -> Path:
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "train.csv").write_text(text)
    return tmp_path


def test_chexpert_keeps_positive_xor_negative(tmp_path: Path, make_dataset) -> None:
    table = read_table(make_dataset(format={"kind": "chexpert"}, split=GIVEN), chexpert_root(tmp_path))
    assert dict(zip(table["group"], table["label"], strict=True)) == {
        "patient00001": 1,
        "patient00002": 0,
        "patient00003": 0,
        "patient00004": 0,
        "patient00011": 1,
    }
    first = table.iloc[0]
    assert first["image_id"] == "patient00001_study1_view1_frontal"
    assert first["path"] == "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"


def test_chexpert_is_balanced_for_a_recipe(tmp_path: Path, make_dataset) -> None:
    def read(text: str, seed: int) -> set[str]:
        split = {"kind": "recipe", "seed": seed}
        root = chexpert_root(tmp_path, text)
        table = read_table(make_dataset(format={"kind": "chexpert"}, split=split), root)
        assert table["label"].value_counts().to_dict() == {0: 2, 1: 2}
        return set(table["image_id"])

    header, *rows = CHEXPERT.splitlines(keepends=True)
    backwards = "".join([header, *rows[::-1]])
    assert all(read(CHEXPERT, seed) == read(backwards, seed) for seed in range(3))
    assert len({frozenset(read(CHEXPERT, seed)) for seed in range(8)}) > 1


def test_chexpert_csv_may_be_at_the_root(tmp_path: Path, make_dataset) -> None:
    layout = {"kind": "chexpert", "csv": "train.csv"}
    table = read_table(make_dataset(format=layout), chexpert_root(tmp_path, folder="."))
    assert table["path"].str.startswith("train/patient").all()


def test_chexpert_class_values_decide_the_index(tmp_path: Path, make_dataset) -> None:
    swapped = [{"value": "1.0", "name": "effusion"}, {"value": 0, "name": "none"}]
    dataset = make_dataset(format={"kind": "chexpert"}, classes=swapped)
    table = read_table(dataset, chexpert_root(tmp_path)).set_index("group")
    assert table.at["patient00001", "label"] == 0
    other = make_dataset(format={"kind": "chexpert"}, classes=[{"value": v, "name": v} for v in "ab"])
    with pytest.raises(DataError, match="use exactly these two"):
        read_table(other, chexpert_root(tmp_path))


def test_chexpert_names_the_row_of_an_unknown_value(tmp_path: Path, make_dataset) -> None:
    text = CHEXPERT.replace("Male,1.0,0.0", "Male,maybe,0.0")
    with pytest.raises(DataError, match=r"row 4: .*'maybe'"):
        read_table(make_dataset(format={"kind": "chexpert"}), chexpert_root(tmp_path, text))


def test_isic_groups_by_patient_then_lesion_then_image(tmp_path: Path, make_dataset) -> None:
    (tmp_path / "metadata.csv").write_text(
        "image_name,target,patient_id,lesion_id\n"
        "ISIC_0000001,0,IP_1,IL_1\nISIC_0000002,1.0,,IL_2\nISIC_0000003,1,,\n"
    )
    table = read_table(make_dataset(format={"kind": "isic"}), tmp_path)
    assert table["group"].tolist() == ["IP_1", "IL_2", "ISIC_0000003"]
    assert table["path"].tolist()[0] == "images/ISIC_0000001.jpg"
    assert table["label"].tolist() == [0, 1, 1]


def test_isic_needs_no_group_columns(tmp_path: Path, make_dataset) -> None:
    (tmp_path / "metadata.csv").write_text("image_name,target\nISIC_0000001,0\n")
    assert read_table(make_dataset(format={"kind": "isic"}), tmp_path)["group"].tolist() == ["ISIC_0000001"]


@pytest.mark.parametrize("text", ["1", " 1 ", "1.0", "1."])
def test_one_is_one(text: str) -> None:
    assert canonical_label(text) == canonical_label(1) == "1"


@pytest.mark.parametrize("text", ["01", "1.5", "one", "", "-1"])
def test_what_is_not_one(text: str) -> None:
    assert canonical_label(text) != "1"


def test_table_keeps_leading_zeros_and_trims(tmp_path: Path, make_dataset) -> None:
    (tmp_path / "labels.csv").write_text(
        "file,patient,diagnosis\n sub/0007.png , 007 , 1.0\n0008.png,,0\n", encoding="utf-8-sig"
    )
    table = read_table(make_dataset(), tmp_path)
    assert table["image_id"].tolist() == ["0007", "0008"]
    assert table["path"].tolist() == ["images/sub/0007.png", "images/0008.png"]
    assert table["group"].tolist() == ["007", "0008"]
    assert table["label"].tolist() == [1, 0]
    assert table["label"].dtype == "int64"


def test_table_problems_are_listed_with_editor_rows(tmp_path: Path, make_dataset) -> None:
    (tmp_path / "labels.csv").write_text(
        "file,patient,diagnosis\na.png,1,healthy\n\n../b.png,1,1\n,1,0\n/c.png,1,0\n"
    )
    with pytest.raises(DataError) as caught:
        read_table(make_dataset(), tmp_path)
    message = str(caught.value)
    assert "labels.csv: 4 problems" in message
    assert "row 2: unknown label 'healthy'; known are 0, 1" in message
    assert "row 4: '../b.png' is outside" in message
    assert "row 5: no image name" in message
    assert "row 6: '/c.png' is outside" in message


def test_missing_columns_list_those_there_are(tmp_path: Path, make_dataset) -> None:
    (tmp_path / "labels.csv").write_text("file;patient;diagnosis\na.png;1;0\n")
    with pytest.raises(DataError, match=r"no column file, diagnosis, patient; the columns there are: file;"):
        read_table(make_dataset(), tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a,b\n1,2\n1,2,3\n", r"row 3: 3 cells, the header has 2"),
        (b"a,b,a\n1,2,3\n", "column a is there more than once"),
        (b"a,b\n\xff,2\n", "cannot be read as a UTF-8 CSV"),
        (b"", "the columns there are: none"),
    ],
)
def test_unusable_csv(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_csv(tmp_path / "x.csv", ["a"])


def test_missing_csv(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.csv: there is no such file"):
        read_csv(tmp_path / "x.csv")


@pytest.mark.parametrize(
    "layout, header",
    [
        ({"kind": "chexpert", "csv": "x.csv"}, "Path,No Finding,Pleural Effusion"),
        ({"kind": "isic", "csv": "x.csv"}, "image_name,target"),
        ({"kind": "table", "csv": "x.csv", "image_column": "i", "label_column": "l"}, "i,l"),
    ],
)
def test_a_csv_without_rows_is_an_empty_table(tmp_path: Path, make_dataset, layout, header) -> None:
    (tmp_path / "x.csv").write_text(header + "\n")
    table = read_table(make_dataset(format=layout), tmp_path)
    assert len(table) == 0
    assert list(table.columns) == ["image_id", "path", "label", "group"]
