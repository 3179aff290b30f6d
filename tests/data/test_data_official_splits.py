"""Published split files: found, checked, and taken row by row."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import shutil
import urllib.error
from pathlib import Path

import pytest
from PIL import Image

from meddiff.cli import main
from meddiff.config import DatasetConfig, load_dataset
from meddiff.config.dataset_slices import (
    FetchParams,
    LeaksParams,
    OfficialParams,
    SplitParams,
    ValidateParams,
    slice_of,
)
from meddiff.data.layouts.rows import read_split_rows
from meddiff.data.leaks.report import find_leaks
from meddiff.data.obtain import official_splits
from meddiff.data.obtain.fetch import fetch, read_manifest
from meddiff.data.obtain.official_splits import collect_official, places_to_look
from meddiff.data.splitting.splits import make_splits
from meddiff.data.tables import SPLITS, read_splits
from meddiff.data.validate import official_rows, validate_dataset
from meddiff.errors import DataError

CONFIG = Path(__file__).resolve().parents[2] / "config"
SIZES = {"chexpert": (16324, 2040, 2040), "isic": (8169, 1021, 1021)}
POSITIVES = {"chexpert": (8217, 987, 999), "isic": (4109, 491, 506)}

TRAIN = "image_name,target\nISIC_0000001,1\nISIC_0000002_downsampled,0\nISIC_2000003,0\n"
VALID = "image_name,target\nISIC_0000004,0\nISIC_2000005,1\n"
TEST = "image_name,target\nISIC_2000007,1\nISIC_2000006,0\n"


def shipped(name: str) -> DatasetConfig:
    return load_dataset(name, CONFIG)


def raw_rows(official: Path, name: str, split: str) -> list[dict[str, str]]:
    with open(official / "splits" / f"{name}-{split}.csv", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def small(tmp_path: Path, make_dataset):
    """Three small split files in a folder of their own, seven images, and a dataset that pins the files."""

    def make(train: str = TRAIN, valid: str = VALID, test: str = TEST) -> tuple[DatasetConfig, Path, Path]:
        folder, root = tmp_path / "published", tmp_path / "root"
        folder.mkdir()
        (root / "images").mkdir(parents=True)
        split = {"kind": "official"}
        for name, text in zip(SPLITS, (train, valid, test), strict=True):
            (folder / f"isic-{name}.csv").write_text(text)
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            split[name] = {"name": f"isic-{name}.csv", "sha256": sha256}
            for number, row in enumerate(text.splitlines()[1:]):
                color = (number, len(root.name), sum(row.encode()) % 256)
                Image.new("RGB", (8, 8), color).save(root / "images" / f"{row.split(',')[0]}.jpg")
        return make_dataset(format={"kind": "isic"}, split=split), folder, root

    return make


def splits_of(dataset: DatasetConfig, root: Path, folder: Path) -> dict:
    """Validate and split as the commands do, with the files of `folder`."""
    out = root.parent / "official"
    collect_official("isic", dataset.split, [folder], None, out)
    table = validate_dataset(dataset, root, {"files": {}}, official=out).table
    return make_splits(dataset, table, out)


@pytest.mark.parametrize("name", SIZES)
def test_the_six_published_files_keep_rows_order_and_labels(
    official: Path, tmp_path: Path, name: str
) -> None:
    dataset = shipped(name)
    collect_official(name, dataset.split, [official / "splits"], None, tmp_path)
    for split in SPLITS:
        original = official / "splits" / f"{name}-{split}.csv"
        assert (tmp_path / f"{split}.csv").read_bytes() == original.read_bytes()
    table, problems = official_rows(dataset, tmp_path)
    assert problems == []
    splits = make_splits(dataset, table.assign(sha256=table["image_id"]), tmp_path)
    assert tuple(len(frame) for frame in splits.values()) == SIZES[name]
    assert tuple(frame["label"].sum() for frame in splits.values()) == POSITIVES[name]
    for split, frame in splits.items():
        rows = raw_rows(official, name, split)
        if name == "isic":
            assert frame["image_id"].tolist() == [row["image_name"] for row in rows]
            assert frame["path"].tolist() == [f"images/{row['image_name']}.jpg" for row in rows]
            labels = [row["target"] for row in rows]
        else:
            assert frame["path"].tolist() == [row["Path"] for row in rows]
            labels = [row["Pleural Effusion"] for row in rows]
        assert frame["label"].tolist() == [int(float(label)) for label in labels]
    groups = [set(frame["group"]) for frame in splits.values()]
    assert len(set.union(*groups)) == sum(len(group) for group in groups) == sum(SIZES[name])


def test_published_lesions_through_all_commands(official: Path, tmp_path: Path, caplog) -> None:
    """10,211 images on disk (one file, many names), through the commands that the rules call."""
    dataset, root, out = shipped("isic"), tmp_path / "root", tmp_path / "official"
    (root / "images").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "one.jpg")
    for split in SPLITS:
        for row in raw_rows(official, "isic", split):
            os.link(tmp_path / "one.jpg", root / "images" / f"{row['image_name']}.jpg")
    raw, table = str(tmp_path / "raw.json"), str(tmp_path / "table.csv")
    with caplog.at_level(logging.INFO, "meddiff"):
        for command in (
            ["fetch", "--dataset", "isic", "--params", slice_of(dataset, FetchParams), "--root", str(root),
             "--manifest", raw],
            ["getsplits", "--dataset", "isic", "--params", slice_of(dataset, OfficialParams),
             "--root", str(root), "--splits-root", str(official / "splits"), "--out-dir", str(out)],
            ["validate", "--params", slice_of(dataset, ValidateParams), "--manifest", raw,
             "--root", str(root), "--official", str(out), "--table", table,
             "--flow", str(tmp_path / "flow.json")],
            ["split", "--params", slice_of(dataset, SplitParams), "--table", table, "--official", str(out),
             "--out-dir", str(tmp_path / "splits")],
            ["leaks", "--params", slice_of(dataset, LeaksParams), "--table", table,
             "--splits-dir", str(tmp_path / "splits"), "--out-dir", str(tmp_path / "splits")],
        ):  # fmt: skip
            assert main(command) == 0, caplog.text
    for split, frame in read_splits(tmp_path / "splits").items():
        rows = raw_rows(official, "isic", split)
        assert frame["image_id"].tolist() == [row["image_name"] for row in rows]
        assert frame["label"].tolist() == [int(row["target"]) for row in rows]
    assert json.loads((tmp_path / "splits/origin.json").read_text())["kind"] == "official"
    assert "THE PUBLISHED SPLITS SHARE IMAGES" in caplog.text


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("split", SPLITS)
def test_a_file_that_was_tampered_with_is_named(
    official: Path, tmp_path: Path, name: str, split: str
) -> None:
    shutil.copytree(official / "splits", tmp_path / "splits")
    path = tmp_path / "splits" / f"{name}-{split}.csv"
    text = path.read_text()
    path.write_text(text.replace(",0", ",1", 1))
    pin = getattr(shipped(name).split, split).sha256
    with pytest.raises(DataError) as caught:
        collect_official(name, shipped(name).split, [tmp_path / "splits"], None, tmp_path / "out")
    message = str(caught.value)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"{path} is not the published split file {path.name}" in message
    assert f"expected SHA-256 {pin}, got {found}" in message
    assert f"--config splits_{name}=recipe" in message
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_nowhere(tmp_path: Path, small) -> None:
    dataset, folder, root = small()
    (folder / "isic-valid.csv").unlink()
    places = places_to_look(folder, root)
    with pytest.raises(DataError) as caught:
        collect_official("isic", dataset.split, places, None, tmp_path / "out")
    message = str(caught.value)
    assert "isic-valid.csv" in message and dataset.split.valid.sha256 in message
    for place in (folder, "splits/official", root, root / "splits", root.parent / "splits"):
        assert str(place) in message
    assert "--config splits_root=PATH" in message and "--config splits_isic=recipe" in message


def test_places_are_looked_in_in_order_and_the_web_last(tmp_path: Path, small, monkeypatch, caplog) -> None:
    dataset, folder, root = small()
    (root / "splits").mkdir()
    (folder / "isic-valid.csv").rename(root / "splits/isic-valid.csv")
    (folder / "isic-train.csv").unlink()
    shutil.copy2(folder / "isic-test.csv", root / "isic-test.csv")
    asked = []

    def download(url: str) -> bytes:
        asked.append(url)
        return TRAIN.encode()

    monkeypatch.setattr(official_splits, "download", download)
    with caplog.at_level(logging.INFO, "meddiff"):
        url = "https://somewhere.org/splits"
        collect_official("isic", dataset.split, places_to_look(folder, root), url, tmp_path / "out")
    assert asked == ["https://somewhere.org/splits/isic-train.csv"]
    assert [(tmp_path / f"out/{name}.csv").read_text() for name in SPLITS] == [TRAIN, VALID, TEST]
    for where in (asked[0], root / "splits/isic-valid.csv", folder / "isic-test.csv"):
        assert str(where) in caplog.text


def test_what_the_web_says_is_checked_too(tmp_path: Path, small, monkeypatch) -> None:
    dataset, _, root = small()
    monkeypatch.setattr(official_splits, "download", lambda _: b"<html>not found</html>")
    with pytest.raises(DataError, match=r"https://x\.org/isic-train\.csv is not the published split file"):
        collect_official("isic", dataset.split, [root], "https://x.org", tmp_path / "out")


def test_a_web_that_cannot_be_reached(tmp_path: Path, small, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    dataset, _, root = small()
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(DataError, match=r"isic-train\.csv .* is nowhere\. https://x\.org/.* no route"):
        collect_official("isic", dataset.split, [root], "https://x.org", tmp_path / "out")


def test_rows_order_and_labels_without_the_dataset_own_csv(small) -> None:
    dataset, folder, root = small()
    splits = splits_of(dataset, root, folder)
    assert splits["train"]["image_id"].tolist() == [
        "ISIC_0000001",
        "ISIC_0000002_downsampled",
        "ISIC_2000003",
    ]
    assert splits["test"]["image_id"].tolist() == ["ISIC_2000007", "ISIC_2000006"]
    assert splits["test"]["label"].tolist() == [1, 0]
    assert splits["train"]["group"].tolist() == splits["train"]["image_id"].tolist()


def test_problems_name_file_and_row(small) -> None:
    dataset, folder, root = small(valid=VALID + "ISIC_2000006,0\nISIC_2000008,maybe\n")
    (root / "images/ISIC_0000004.jpg").unlink()
    with pytest.raises(DataError) as caught:
        splits_of(dataset, root, folder)
    message = str(caught.value)
    assert "valid.csv row 2: images/ISIC_0000004.jpg: No such file" in message
    assert "valid.csv row 5: unknown label 'maybe'" in message
    assert "test.csv row 3: image id 'ISIC_2000006' is already in valid.csv row 4" in message


def test_identical_images_are_an_error_only_in_splits_of_ones_own(small, caplog) -> None:
    dataset, folder, root = small()
    shutil.copy2(root / "images/ISIC_0000001.jpg", root / "images/ISIC_2000007.jpg")
    out = root.parent / "official"
    splits = splits_of(dataset, root, folder)
    found = find_leaks(dataset, splits, validate_dataset(dataset, root, {"files": {}}, official=out).table)
    assert "ISIC_2000007" in found.pairs.query("kind == 'same_pixels'")["image_id"].tolist()
    assert "THE PUBLISHED SPLITS SHARE IMAGES" in caplog.text
    assert "train row 2 (ISIC_0000001) and test row 2 (ISIC_2000007): the same pixels" in caplog.text
    ids = {name: folder / f"ids-{name}.csv" for name in SPLITS}
    for name, path in ids.items():
        text = (folder / f"isic-{name}.csv").read_text()
        path.write_text(text.replace("image_name,target", "image_id,label"))
    (root / "metadata.csv").write_text(TRAIN + VALID.split("\n", 1)[1] + TEST.split("\n", 1)[1])
    given = {"kind": "files", **{name: str(path) for name, path in ids.items()}}
    own = dataset.model_copy(update={"split": DatasetConfig.model_validate(
        dataset.model_dump() | {"split": given}).split})  # fmt: skip
    with pytest.raises(DataError, match="identical images"):
        validate_dataset(own, root, {"files": {}})


def test_a_film_in_two_published_splits_is_an_error(tmp_path: Path, make_dataset) -> None:
    header, film = (
        "Path,Pleural Effusion,No Finding\n",
        "X/train/patient{}/study1/view1_frontal.jpg,{}.0,{}.0\n",
    )
    split = {"kind": "official"}
    for name, first in (("train", 1), ("valid", 3), ("test", 1)):
        text = header + film.format(first, 1, 0) + film.format(first + 1, 0, 1)
        split[name] = {"name": f"chexpert-{name}.csv", "sha256": hashlib.sha256(text.encode()).hexdigest()}
        (tmp_path / f"chexpert-{name}.csv").write_text(text)
    dataset = make_dataset(format={"kind": "chexpert"}, split=split)
    collect_official("chexpert", dataset.split, [tmp_path], None, tmp_path / "out")
    table, _ = official_rows(dataset, tmp_path / "out")
    table = table.drop_duplicates("image_id").assign(sha256=lambda t: t["image_id"])
    with pytest.raises(DataError, match="the same image"):
        make_splits(dataset, table, tmp_path / "out")


def test_rows_that_chexpert_would_leave_out_are_problems(tmp_path: Path, make_dataset) -> None:
    path = tmp_path / "valid.csv"
    path.write_text(
        "Path,Pleural Effusion,No Finding\n"
        "X/train/patient1/study1/view1_frontal.jpg,1.0,0.0\n"
        "X/train/patient2/study1/view1_frontal.jpg,-1.0,0.0\n"
        "X/train/patient3/study2/view1_frontal.jpg,1.0,0.0\n"
    )
    dataset = make_dataset(format={"kind": "chexpert"})
    table, problems = read_split_rows(dataset.format, dataset.classes, path)
    assert table["group"].tolist() == ["patient1"]
    assert [text.split(":")[0] for text in problems] == ["row 3", "row 4"]


def test_splits_drawn_in_place_of_published_ones_say_so(tmp_path: Path, small, caplog) -> None:
    dataset, _, root = small()
    rows = [f"ISIC_{i:07d},{i % 2}" for i in range(40)]
    (root / "metadata.csv").write_text("image_name,target\n" + "\n".join(rows) + "\n")
    for i, row in enumerate(rows):
        Image.effect_noise((8 + i, 8), 60).save(root / "images" / f"{row.split(',')[0]}.jpg")
    drawn = dataset.model_copy(update={"split": dataset.split.recipe})
    raw, table, out = tmp_path / "raw.json", tmp_path / "table.csv", tmp_path / "splits"
    fetch("isic", drawn, root, raw)
    validate_dataset(drawn, root, read_manifest(raw)).table.to_csv(table, index=False)
    with caplog.at_level(logging.INFO, "meddiff"):
        assert main(["split", "--params", slice_of(drawn, SplitParams), "--table", str(table),
                     "--out-dir", str(out)]) == 0  # fmt: skip
    assert "drawn by this workflow" in caplog.text and "not the paper's" in caplog.text
    origin = json.loads((out / "origin.json").read_text())
    assert origin["kind"] == "recipe" and "not the paper's" in origin["note"]
