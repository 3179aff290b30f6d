from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff.config import DatasetConfig
from meddiff.data.obtain.fetch import fetch, read_manifest
from meddiff.data.tables import SPLITS
from meddiff.data.validate import check_splits, validate_dataset
from meddiff.errors import DataError
from meddiff.io import sha256_file

NAMES = ["healthy", "sick"]
NOISE = Image.fromarray(np.random.default_rng(5).integers(0, 256, (30, 30), dtype=np.uint8))


@pytest.fixture
def checked(tmp_path: Path, make_dataset, local_root: Path):
    """Validate `local_root` as it is now against the manifest made when the test began."""
    fetch("mine", make_dataset(), local_root, tmp_path / "raw/manifest.json")

    def check(dataset: DatasetConfig | None = None) -> pd.DataFrame:
        return validate_dataset(
            dataset or make_dataset(), local_root, read_manifest(tmp_path / "raw/manifest.json")
        ).table

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
    assert list(table.columns) == ["image_id", "path", "label", "group", "sha256", "pixels", "look"]
    assert table["image_id"].tolist() == [f"{i:03d}" for i in range(40)]
    assert table["sha256"].tolist() == [sha256_file(local_root / path) for path in table["path"]]


def test_hash_is_computed_where_the_manifest_has_none(make_dataset, local_root: Path) -> None:
    table = validate_dataset(make_dataset(), local_root, {"files": {}}).table
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


def test_disjoint_splits_pass() -> None:
    check_splits(splits(), NAMES)


@pytest.mark.parametrize(
    "name, rows, expected",
    [
        (
            "test",
            frame(("e", 0, "r"), ("f", 1, "p")),
            "train row 2 (a) and test row 3 (f): the same group 'p'",
        ),
        (
            "test",
            frame(("b", 0, "x"), ("f", 1, "y")),
            "train row 3 (b) and test row 2 (b): the same image",
        ),
        (
            "valid",
            frame(("c", 0, "q"), ("c", 1, "q")),
            "valid row 2 (c) and valid row 3 (c): the same image",
        ),
        ("valid", frame(("c", 0, "q")), "valid: no image of class 'sick'"),
        (
            "valid",
            frame(("c", 0, "q"), ("d", 1, "q"), ("x", 2, "q")),
            "class index 2 is not one of 0..1",
        ),
    ],
)
def test_leaks_are_named(name: str, rows: pd.DataFrame, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        check_splits(splits() | {name: rows}, NAMES)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "image, expected",
    [
        (Image.new("L", (1, 1), 9), "is 1 x 1 pixels"),
        (Image.new("RGB", (300, 1), 9), "is 300 x 1 pixels"),
        (Image.new("L", (20, 20), 9), "has the same value in every pixel"),
        (Image.fromarray(np.full((20, 20), 40_000, dtype=np.uint16)), "has the same value in every pixel"),
        (Image.merge("LA", [NOISE, Image.new("L", NOISE.size)]), "is transparent everywhere"),
        (Image.merge("LA", [Image.new("L", NOISE.size, 7), NOISE]), "has the same value in every pixel"),
    ],
    ids=["one pixel", "one row", "constant", "constant 16 bits", "transparent", "all in what is dropped"],
)
def test_images_that_show_nothing(checked, make_dataset, local_root: Path, image, expected: str) -> None:
    image.save(local_root / "images/new.png")
    append(local_root, "new.png,9,0")
    assert f"row 42: images/new.png: {expected} and shows nothing" in message(checked)


def test_identical_images_with_different_labels(checked, local_root: Path) -> None:
    (local_root / "images/new.png").write_bytes((local_root / "images/000.png").read_bytes())
    append(local_root, "new.png,9,1")
    expected = "row 2 and row 42: identical images with the labels 'healthy' and 'sick'; keep the row that is"
    assert expected in message(checked)


def test_identical_images_with_the_same_label_are_counted(checked, local_root: Path, caplog) -> None:
    (local_root / "images/new.png").write_bytes((local_root / "images/000.png").read_bytes())
    append(local_root, "new.png,9,0")
    with caplog.at_level(logging.INFO, "meddiff"):
        checked()
    assert "1 images are copies of others" in caplog.text


def test_published_splits_are_taken_with_such_images(tmp_path: Path, make_dataset, caplog) -> None:
    """Nobody can mend them, and leaving rows out would make other splits of them."""
    (tmp_path / "images").mkdir()
    file = {"name": "x.csv", "sha256": "0" * 64}
    for number, name in enumerate(SPLITS):
        (tmp_path / f"{name}.csv").write_text(f"image_name,target\na{number},0\nb{number},1\n")
        NOISE.crop((number, 0, 30, 30)).save(tmp_path / f"images/a{number}.jpg")
        Image.new("L", (30, 30), number).save(tmp_path / f"images/b{number}.jpg")
    shutil.copy(tmp_path / "images/a0.jpg", tmp_path / "images/b1.jpg")
    split = {"kind": "official", **dict.fromkeys(SPLITS, file)}
    dataset = make_dataset(format={"kind": "isic"}, split=split)
    with caplog.at_level(logging.WARNING, "meddiff"):
        table = validate_dataset(dataset, tmp_path, {"files": {}}, official=tmp_path).table
    assert len(table) == 6
    assert "published splits are used as they are: 3 problems" in caplog.text
    assert "train.csv row 3: images/b0.jpg: has the same value in every pixel" in caplog.text
    assert "train.csv row 2 and valid.csv row 3: identical images with the labels" in caplog.text


def test_films_of_twelve_bits_need_to_say_so(checked, make_dataset, local_root: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (20, 20)).astype(np.uint16)
    values[0, 0] = 4095
    Image.fromarray(values).save(local_root / "images/new.png")
    append(local_root, "new.png,9,0")
    text = message(checked)
    assert "the largest value of 1 images with 16 bits a channel is 4095 of 65535" in text
    assert "say `bits: 12`" in text
    for bits in (12, 16):
        assert len(checked(make_dataset(bits=bits))) == 41
    assert "has the value 4095, but with `bits: 10` white is 1023" in message(
        lambda: checked(make_dataset(bits=10))
    )


def test_films_that_use_sixteen_bits_need_not(checked, local_root: Path) -> None:
    values = np.linspace(0, 40_000, 400).reshape(20, 20).astype(np.uint16)
    Image.fromarray(values).save(local_root / "images/new.png")
    append(local_root, "new.png,9,0")
    assert len(checked()) == 41


def test_turned_images_are_counted(checked, local_root: Path, caplog) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    NOISE.save(local_root / "images/new.png", exif=exif)
    append(local_root, "new.png,9,0")
    with caplog.at_level(logging.INFO, "meddiff"):
        checked()
    assert "1 images are turned as their orientation tag says" in caplog.text


def test_a_nul_in_a_name(checked, local_root: Path) -> None:
    append(local_root, "00\0.png,9,0")
    assert r"row 42: '00\x00.png' has a NUL, which no file name can" in message(checked)


@pytest.mark.parametrize("cell", ["x/../../train/{}", "/x/train/{}", "x/train\0/train/{}"])
def test_a_film_outside_of_the_folder(tmp_path: Path, make_dataset, cell: str) -> None:
    path = cell.format("patient00001/study1/view1_frontal.jpg")
    (tmp_path / "train.csv").write_text(f"Path,No Finding,Pleural Effusion\n{path},1,0\n")
    dataset = make_dataset(format={"kind": "chexpert", "csv": "train.csv"})
    with pytest.raises(DataError, match=r"row 2: .* is no path below the dataset's folder"):
        validate_dataset(dataset, tmp_path, {"files": {}})


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I;16B"]
)
def test_every_pixel_format_is_looked_at(make_dataset, local_root: Path, mode: str) -> None:
    """What TIFF can hold; a sound image of each passes, upright and turned."""
    if mode.startswith("I;16"):
        values = np.linspace(0, 65_535, 900).reshape(30, 30).astype(">u2" if mode == "I;16B" else "<u2")
        image = Image.fromarray(values)
        assert image.mode == mode
    elif mode == "LAB":
        image = Image.merge("LAB", [NOISE, NOISE, NOISE])
    elif mode in ("LA", "RGBA"):
        image = NOISE.convert(mode)
    else:
        image = NOISE.convert("RGB").convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(local_root / "images/000.tif")
    image.save(local_root / "images/001.tif", exif=exif)
    text = (local_root / "labels.csv").read_text()
    (local_root / "labels.csv").write_text(text.replace("000.png", "000.tif").replace("001.png", "001.tif"))
    dataset = make_dataset(convert=["rgb_to_grey", "cmyk_to_rgb"])
    assert len(validate_dataset(dataset, local_root, {"files": {}}).table) == 40
