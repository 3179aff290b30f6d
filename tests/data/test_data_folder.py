"""Where images lie below the folder that a user names."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from meddiff.config.schema.data.layout import CheXpertFormat, ISICFormat
from meddiff.data.layouts.folder import ImageFolder
from meddiff.data.obtain.fetch import fetch, read_manifest
from meddiff.data.validate import validate_dataset
from meddiff.errors import DataError

CHEXPERT = CheXpertFormat(kind="chexpert")
ISIC = ISICFormat(kind="isic")
FILM = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"
LESION = "images/ISIC_0000001.jpg"


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), 7).save(path)
    return path


@pytest.mark.parametrize("where", ["CheXpert-v1.0-small", ".", "chexpert", "data/chexpert", "a/b/c"])
def test_films_have_one_name_wherever_they_lie(tmp_path: Path, make_dataset, where: str) -> None:
    file = put(tmp_path / where / "train/patient00001/study1/view1_frontal.jpg")
    put(tmp_path / where / "train/patient00001/study1/._view1_frontal.jpg")
    (tmp_path / where / "train.csv").write_text("Path,Pleural Effusion,No Finding\n")
    folder = ImageFolder(tmp_path, CHEXPERT)
    assert folder.file(FILM) == file
    assert folder.table(CHEXPERT.csv) == tmp_path / where / "train.csv"
    fetch("chexpert", make_dataset(format={"kind": "chexpert"}), tmp_path, tmp_path / "raw.json")
    assert set(read_manifest(tmp_path / "raw.json")["files"]) == {FILM, "CheXpert-v1.0-small/train.csv"}


@pytest.mark.parametrize("where", ["images", "isic/images", "a/b/images"])
def test_lesions_have_one_name_wherever_they_lie(tmp_path: Path, make_dataset, where: str) -> None:
    file = put(tmp_path / where / "ISIC_0000001.jpg")
    csv = (tmp_path / where).parent / "metadata.csv"
    csv.write_text("image_name,target\n")
    folder = ImageFolder(tmp_path, ISIC)
    assert folder.file(LESION) == file
    assert folder.table(ISIC.csv) == csv
    fetch("isic", make_dataset(format={"kind": "isic"}), tmp_path, tmp_path / "raw.json")
    assert set(read_manifest(tmp_path / "raw.json")["files"]) == {LESION, "metadata.csv"}


def test_the_named_place_wins(tmp_path: Path) -> None:
    put(tmp_path / "other/train/patient00001/study1/view1_frontal.jpg")
    named = put(tmp_path / FILM)
    assert ImageFolder(tmp_path, CHEXPERT).file(FILM) == named


def test_two_places_are_an_error_that_names_both(tmp_path: Path) -> None:
    for name in ("one", "two"):
        put(tmp_path / name / "images/ISIC_0000001.jpg")
    with pytest.raises(DataError, match=r"any of .*one/images, .*two/images"):
        ImageFolder(tmp_path, ISIC)


def test_no_place_is_an_error_that_says_how_to_name_it(tmp_path: Path, make_dataset) -> None:
    (tmp_path / "train/nothing").mkdir(parents=True)
    for kind in ("chexpert", "isic"):
        with pytest.raises(DataError, match=r"has no folder .*--config root_mine=PATH"):
            fetch("mine", make_dataset(format={"kind": kind}), tmp_path, tmp_path / "raw.json")


def test_splits_that_are_drawn_need_the_labels_of_the_dataset(tmp_path: Path, make_dataset) -> None:
    put(tmp_path / LESION)
    (tmp_path / "labels.csv").write_text("image_name,target\n")
    dataset = make_dataset(format={"kind": "isic"})
    fetch("isic", dataset, tmp_path, tmp_path / "raw.json")
    with pytest.raises(DataError, match=r"metadata\.csv: there is no such file .*there: labels\.csv"):
        validate_dataset(dataset, tmp_path, {"files": {}})
