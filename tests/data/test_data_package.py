"""The data package: downloaded once, checked ever after."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import zipfile
from pathlib import Path

import gdown
import pytest
from test_data_archive import make_zip, tree

from meddiff.config.schema.data.source import PackageSource
from meddiff.data.obtain import package
from meddiff.data.obtain.package import prepare
from meddiff.errors import DataError

FILES = {
    "data/chexpert/train/patient1/a.jpg": b"a" * 500,
    "data/isic_mel_balanced/images/b.jpg": b"b" * 300,
    "data/isic_mel_balanced/isic-test.csv": b"inside the folder",
    "data/splits/isic-test.csv": b"image_name,target\n",
    "data/splits/old/isic-test.csv": b"deeper",
    "data/splits/notes.csv": b"no split file",
}


def source(folder: str = "chexpert", **changes: str) -> PackageSource:
    return PackageSource(kind="package", file_id="drive-id_1", folder=folder, **changes)


class Drive:
    """Stands in for gdown: serves one file and counts."""

    def __init__(self, content: bytes) -> None:
        self.content, self.calls = content, []

    def download(self, id: str, output: str, **options: object) -> str:
        self.calls.append((id, output, options))
        Path(output).write_bytes(self.content)
        return output


@pytest.fixture
def drive(tmp_path: Path, monkeypatch) -> Drive:
    served = Drive(make_zip(tmp_path / "served.zip", FILES).read_bytes())
    monkeypatch.setattr(gdown, "download", served.download)
    return served


def test_two_datasets_share_one_download(tmp_path: Path, drive: Drive) -> None:
    prepare("chexpert", source(), tmp_path / "packages")
    prepare("isic", source("isic_mel_balanced"), tmp_path / "packages")
    folder = tmp_path / "packages/drive-id_1"
    assert [call[:2] for call in drive.calls] == [("drive-id_1", str(folder / "archive.zip"))]
    assert drive.calls[0][2]["resume"] is True
    assert tree(folder / "chexpert") == {"train/patient1/a.jpg": b"a" * 500}
    assert tree(folder / "isic_mel_balanced") == {
        "images/b.jpg": b"b" * 300,
        "isic-test.csv": b"inside the folder",
    }
    assert tree(folder / "splits") == {"isic-test.csv": b"image_name,target\n"}
    record = {"size": len(drive.content), "sha256": hashlib.sha256(drive.content).hexdigest()}
    assert json.loads((folder / "archive.json").read_text()) == record


def test_what_lies_there_must_be_what_was_recorded(tmp_path: Path, drive: Drive) -> None:
    prepare("chexpert", source(), tmp_path)
    archive = tmp_path / "drive-id_1/archive.zip"
    archive.write_bytes(make_zip(tmp_path / "other.zip", {"data/chexpert/x.jpg": b"other"}).read_bytes())
    with pytest.raises(DataError, match=r"archive\.zip: has .* recorded in .*archive\.json .*; delete it"):
        prepare("chexpert", source(), tmp_path)
    archive.unlink()
    drive.content = b"something else"
    with pytest.raises(DataError, match="recorded"):
        prepare("isic", source("isic_mel_balanced"), tmp_path)


def test_a_pin_is_compared_before_anything_is_unpacked(tmp_path: Path, drive: Drive) -> None:
    sha256 = hashlib.sha256(drive.content).hexdigest()
    with pytest.raises(DataError, match=rf"has SHA-256 {sha256}, expected {'0' * 64} \(source\.sha256\)"):
        prepare("chexpert", source(sha256="0" * 64), tmp_path)
    assert {path.name for path in (tmp_path / "drive-id_1").iterdir()} == {"archive.zip", ".lock"}
    prepare("chexpert", source(sha256=sha256), tmp_path)
    with pytest.raises(DataError, match=r"archive\.json: the package downloaded before has SHA-256"):
        prepare("chexpert", source(sha256="0" * 64), tmp_path)


def test_what_is_no_archive_is_not_recorded(tmp_path: Path, drive: Drive) -> None:
    good, drive.content = drive.content, b"<html>quota exceeded</html>"
    with pytest.raises(DataError, match=r"archive\.zip: is no complete zip archive"):
        prepare("chexpert", source(), tmp_path)
    (tmp_path / "drive-id_1/archive.zip").unlink()
    drive.content = good
    prepare("chexpert", source(), tmp_path)
    assert len(drive.calls) == 2


@pytest.mark.parametrize("damaged", [b"a" * 10, b"b" * 10], ids=["unpacked", "another dataset's"])
def test_a_damaged_download_is_not_recorded(tmp_path: Path, drive: Drive, damaged: bytes) -> None:
    """Its table of contents is whole, so only reading a member shows the damage."""
    with zipfile.ZipFile(tmp_path / "stored.zip", "w", zipfile.ZIP_STORED) as target:
        for name, content in FILES.items():
            target.writestr(name, content)
    good = (tmp_path / "stored.zip").read_bytes()
    drive.content = good.replace(damaged, b"x" * len(damaged), 1)
    with pytest.raises(DataError, match=r"archive\.zip: member .* is damaged: .*; delete it and run again"):
        prepare("chexpert", source(), tmp_path)
    assert not (tmp_path / "drive-id_1/archive.json").exists()
    (tmp_path / "drive-id_1/archive.zip").unlink()
    drive.content = good
    prepare("chexpert", source(), tmp_path)
    record = json.loads((tmp_path / "drive-id_1/archive.json").read_text())
    assert record["sha256"] == hashlib.sha256(good).hexdigest()
    assert tree(tmp_path / "drive-id_1/chexpert") == {"train/patient1/a.jpg": b"a" * 500}


def test_an_archive_without_the_folder_is_not_recorded(tmp_path: Path, drive: Drive) -> None:
    with pytest.raises(DataError, match="has no folder 'brain'"):
        prepare("brain", source("brain"), tmp_path)
    assert not (tmp_path / "drive-id_1/archive.json").exists()


def test_the_archive_may_be_deleted_when_all_is_unpacked(tmp_path: Path, drive: Drive) -> None:
    prepare("chexpert", source(), tmp_path)
    (tmp_path / "drive-id_1/archive.zip").unlink()
    prepare("chexpert", source(), tmp_path)
    assert len(drive.calls) == 1
    prepare("isic", source("isic_mel_balanced"), tmp_path)  # this folder is not unpacked yet
    assert len(drive.calls) == 2


def test_an_archive_from_a_browser_is_taken(tmp_path: Path, drive: Drive) -> None:
    (tmp_path / "drive-id_1").mkdir()
    (tmp_path / "drive-id_1/archive.zip").write_bytes(drive.content)
    prepare("chexpert", source(), tmp_path)
    assert drive.calls == []


@pytest.mark.parametrize("error", [gdown.FileURLRetrievalError("quota"), ConnectionError("reset")])
def test_a_failed_download_says_how_to_go_on(tmp_path: Path, monkeypatch, error: Exception) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(gdown, "download", fail)
    with pytest.raises(DataError) as caught:
        prepare("chexpert", source(), tmp_path)
    text = str(caught.value)
    assert "dataset chexpert: Google Drive file drive-id_1: cannot be downloaded" in text
    assert str(tmp_path / "drive-id_1/archive.zip") in text and "--config root_chexpert=PATH" in text


def test_a_killed_extraction_needs_no_second_download(tmp_path: Path, drive: Drive, monkeypatch) -> None:
    unpack = package._unpack

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(package, "_unpack", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare("chexpert", source(), tmp_path)
    monkeypatch.setattr(package, "_unpack", unpack)
    prepare("chexpert", source(), tmp_path)
    assert len(drive.calls) == 1
    assert tree(tmp_path / "drive-id_1/chexpert") == {"train/patient1/a.jpg": b"a" * 500}


def test_a_second_process_waits_for_the_first(tmp_path: Path, drive: Drive) -> None:
    """Both want the package at once: the lock belongs to the open file, so threads stand in for processes."""
    serve, begun = drive.download, threading.Event()

    def slowly(**options: object) -> str:
        begun.set()
        time.sleep(0.2)
        return serve(**options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gdown, "download", slowly)
        first = threading.Thread(target=prepare, args=("chexpert", source(), tmp_path))
        first.start()
        assert begun.wait(30)
        prepare("isic", source("isic_mel_balanced"), tmp_path)
        first.join()
    assert len(drive.calls) == 1
