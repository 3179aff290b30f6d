from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from meddiff.config import DatasetConfig
from meddiff.data.fetch import fetch, read_manifest
from meddiff.data.validate import check_splits, validate_dataset
from meddiff.errors import DataError
from meddiff.io import sha256_file

NAMES = ["healthy", "sick"]


@pytest.fixture
def checked(tmp_path: Path, make_dataset, local_root: Path):
    """Validate `local_root` as it is now against the manifest made when the test began."""
    fetch("mine", make_dataset(), local_root, tmp_path / "raw/manifest.json")

    def check(dataset: DatasetConfig | None = None) -> pd.DataFrame:
        return validate_dataset(
            dataset or make_dataset(), local_root, read_manifest(tmp_path / "raw/manifest.json")
        )

    return check


def message(check) -> str:
    with pytest.raises(DataError) as caught:
        check()
    return str(caught.value)


def append(root: Path, *rows: str) -> None:
    with open(root / "labels.csv", "a") as stream:
        stream.writelines(f"{row}\n" for row in rows)


def test_a_sound_dataset(checked, local_root: Path) -> None:
    table = checked()
    assert list(table.columns) == ["image_id", "path", "label", "group", "sha256"]
    assert table["image_id"].tolist() == [f"{i:03d}" for i in range(40)]
    assert table["sha256"].tolist() == [sha256_file(local_root / path) for path in table["path"]]


def test_hash_is_computed_where_the_manifest_has_none(make_dataset, local_root: Path) -> None:
    table = validate_dataset(make_dataset(), local_root, {"files": {}})
    assert table["sha256"][0] == sha256_file(local_root / "images/000.png")


def test_all_problems_come_at_once_with_rows(checked, local_root: Path) -> None:
    (local_root / "images/003.png").unlink()
    damaged = local_root / "images/005.png"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    (local_root / "images/007.png").write_bytes(b"no image")
    append(local_root, "000.png,9,0", "001.png,9,ill")
    text = message(checked)
    assert "labels.csv: 5 problems" in text
    assert "row 5: images/003.png: No such file" in text
    assert "row 7: images/005.png: cannot be decoded" in text
    assert "row 9: images/007.png: has 8 bytes, the manifest says" in text
    assert "row 42: image id '000' is already in row 2" in text
    assert "row 43: unknown label 'ill'" in text


def test_truncated_jpeg_is_found(make_dataset, local_root: Path) -> None:
    from PIL import Image

    target = local_root / "images/000.jpg"
    Image.effect_noise((64, 64), 50).save(target)
    append(local_root, "000.jpg,9,0")
    target.write_bytes(target.read_bytes()[:-400])
    (local_root / "images/000.png").write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        validate_dataset(make_dataset(), local_root, {"files": {}})
    assert "images/000.jpg: cannot be decoded: image file is truncated" in str(caught.value)
    assert "images/000.png: is not an image" in str(caught.value)


def test_only_twenty_problems_are_listed(checked, local_root: Path) -> None:
    append(local_root, *[f"{i:03d}.png,9,ill" for i in range(30)])
    text = message(checked)
    assert text.count("unknown label") == 20
    assert text.endswith("... and 10 more")


def test_class_without_images(checked, make_dataset) -> None:
    classes = [{"value": v, "name": n} for v, n in ((0, "healthy"), (1, "sick"), (2, "unseen"))]
    assert "no image of class 'unseen'" in message(lambda: checked(make_dataset(classes=classes)))


def frame(*rows: tuple[str, int, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "label", "group"])


def splits() -> dict[str, pd.DataFrame]:
    return {
        "train": frame(("a", 0, "p"), ("b", 1, "p")),
        "valid": frame(("c", 0, "q"), ("d", 1, "q")),
        "test": frame(("e", 0, "r"), ("f", 1, "s")),
    }


HASHES = {name: name for name in "abcdef"}


def test_disjoint_splits_pass() -> None:
    check_splits(splits(), HASHES, NAMES)
    check_splits(splits(), HASHES | {"a": "same", "b": "same"}, NAMES)


@pytest.mark.parametrize(
    "name, rows, hashes, expected",
    [
        (
            "test",
            frame(("e", 0, "r"), ("f", 1, "p")),
            {},
            "train row 2 (a) and test row 3 (f): the same group 'p'",
        ),
        (
            "test",
            frame(("b", 0, "x"), ("f", 1, "y")),
            {},
            "train row 3 (b) and test row 2 (b): the same image",
        ),
        (
            "valid",
            frame(("c", 0, "q"), ("c", 1, "q")),
            {},
            "valid row 2 (c) and valid row 3 (c): the same image",
        ),
        (
            "test",
            splits()["test"],
            {"c": "x", "f": "x"},
            "valid row 2 (c) and test row 3 (f): identical files",
        ),
        ("valid", frame(("c", 0, "q")), {}, "valid: no image of class 'sick'"),
        (
            "valid",
            frame(("c", 0, "q"), ("d", 1, "q"), ("x", 2, "q")),
            {"x": "x"},
            "class index 2 is not one of 0..1",
        ),
    ],
)
def test_leaks_are_named(name: str, rows: pd.DataFrame, hashes: dict[str, str], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        check_splits(splits() | {name: rows}, HASHES | hashes, NAMES)
    assert expected in str(caught.value)
