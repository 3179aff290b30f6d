"""The listing of a folder follows its content, and only that."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest
from PIL import Image

import meddiff.data.obtain.listing as listing
from meddiff.config import DatasetConfig
from meddiff.data.obtain.listing import SeenFiles, list_folder, refresh_manifest
from meddiff.data.tables import SPLIT_COLUMNS, read_csv
from meddiff.data.validate import validate_dataset
from meddiff.errors import DataError
from meddiff.io import read_json, sha256_file

EDITED = "images/003.png"


class Folder:
    """A listed folder, and how often files of it are read."""

    def __init__(self, dataset: DatasetConfig, root: Path, place: Path) -> None:
        self.dataset, self.root = dataset, root
        self.manifest, self.table, self.seen = place / "raw.json", place / "table.csv", place / "seen.json"
        list_folder("mine", dataset, root, self.manifest, SeenFiles(self.seen))

    def refresh(self) -> bool:
        return refresh_manifest("mine", self.dataset, self.root, self.manifest, self.table, self.seen)

    def sha256(self, path: str) -> str:
        return read_json(self.manifest)["files"][path]["sha256"]

    def edit(self, path: str) -> None:
        Image.new("L", (20, 24), 77).save(self.root / path)


@pytest.fixture
def folder(make_dataset, local_root: Path, tmp_path: Path) -> Folder:
    return Folder(make_dataset(), local_root, tmp_path)


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The names of the files that are read to be hashed."""
    names: list[str] = []

    def read(path: Path) -> str:
        names.append(Path(path).name)
        return sha256_file(path)

    monkeypatch.setattr(listing, "sha256_file", read)
    return names


def test_nothing_is_read_twice(folder, reads) -> None:
    assert not folder.refresh()
    assert reads == []


def test_touched_files_are_read_once_and_change_nothing(folder, reads) -> None:
    before = folder.manifest.read_bytes()
    os.utime(folder.root / EDITED, (1, 1))
    assert not folder.refresh() and not folder.refresh()
    assert reads == ["003.png"]
    assert folder.manifest.read_bytes() == before


def test_an_edited_image_and_back(folder, reads) -> None:
    before, original = folder.manifest.read_bytes(), (folder.root / EDITED).read_bytes()
    folder.edit(EDITED)
    assert folder.refresh() and not folder.refresh()
    assert folder.sha256(EDITED) == sha256_file(folder.root / EDITED)
    assert reads == ["003.png"]
    (folder.root / EDITED).write_bytes(original)
    assert folder.refresh()
    assert folder.manifest.read_bytes() == before


def test_an_edit_that_keeps_size_and_second(folder) -> None:
    path = folder.root / "labels.csv"
    stat = path.stat()
    path.write_text(path.read_text().replace("000.png,0000,0", "000.png,0000,1"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert folder.refresh()
    assert folder.sha256("labels.csv") == sha256_file(path)


def test_a_deleted_image_leaves_the_listing(folder) -> None:
    (folder.root / EDITED).unlink()
    assert folder.refresh() and not folder.refresh()
    assert EDITED not in read_json(folder.manifest)["files"]


def test_images_that_no_row_names_are_not_looked_at(folder, reads) -> None:
    folder.table.write_text(f"{','.join(SPLIT_COLUMNS)}\n000,images/000.png,0,0000\n")
    folder.edit(EDITED)
    assert not folder.refresh()
    folder.edit("images/000.png")
    assert folder.refresh()
    assert folder.sha256(EDITED) == sha256_file(folder.root / EDITED)


def test_a_moved_folder_is_the_same(folder, tmp_path: Path) -> None:
    folder.root = folder.root.rename(tmp_path / "elsewhere")
    assert not folder.refresh()


def test_another_folder_of_the_same_layout(folder, tmp_path: Path) -> None:
    folder.root = Path(shutil.copytree(folder.root, tmp_path / "copy"))
    assert not folder.refresh()
    folder.edit(EDITED)
    assert folder.refresh()


def test_without_folder_or_manifest_there_is_nothing_to_do(folder, tmp_path: Path) -> None:
    folder.root.rename(tmp_path / "gone")
    assert not folder.refresh()
    folder.manifest.unlink()
    assert not folder.refresh() and not folder.manifest.exists()


def test_a_folder_that_cannot_be_listed_is_an_error(folder) -> None:
    """The rules that would say it do not run where the manifest stays as it is."""
    before = folder.manifest.read_bytes()
    (folder.root / "labels.csv").unlink()
    with pytest.raises(DataError, match=r"no file labels\.csv"):
        folder.refresh()
    assert folder.manifest.read_bytes() == before


@pytest.mark.parametrize("kind", ["pipe", "device", "circle", "nowhere"])
def test_an_image_in_use_that_became_something_else_is_an_error(folder, kind: str) -> None:
    (folder.root / EDITED).unlink()
    make_odd(folder.root / EDITED, kind)
    with pytest.raises(DataError, match=r"images/003\.png: is a"):
        folder.refresh()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 5}', '{"others": {}}'])
def test_a_damaged_manifest_is_named(folder, text) -> None:
    folder.manifest.write_text(text)
    with pytest.raises(DataError, match=r"raw\.json: cannot be read .*delete it, and it is made again"):
        folder.refresh()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "5",
        '{"files": 5}',
        '{"files": ["images/a.jpg"]}',
        '{"files": {"labels.csv": null}}',
        '{"files": {"labels.csv": 3}}',
        '{"files": {"labels.csv": [1, 2]}}',
        '{"files": {"labels.csv": ["1", 2, "0"]}}',
        '{"files": {"labels.csv": [1, 2, null]}}',
    ],
)
def test_a_damaged_record_is_begun_anew(folder, caplog, text) -> None:
    folder.seen.write_text(text)
    assert not folder.refresh()
    assert "files are read again" in caplog.text
    assert len(read_json(folder.seen)["files"]) == 41


def test_a_phantom_is_listed_with_all_it_generated(make_dataset, tmp_path: Path) -> None:
    root = tmp_path / "raw"
    (root / "images").mkdir(parents=True)
    Image.new("L", (8, 8)).save(root / "images/a.jpg")
    (root / "truth.json").write_text("{}")
    source, layout = {"kind": "phantom", "images": 30}, {"kind": "isic"}
    folder = Folder(make_dataset(source=source, format=layout), root, tmp_path)
    assert set(read_json(folder.manifest)["files"]) == {"images/a.jpg", "truth.json"}


def test_unreadable_files_are_named(folder, monkeypatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(listing, "sha256_file", refuse)
    with pytest.raises(DataError, match=r"000\.png: cannot be read.*denied"):
        list_folder("mine", folder.dataset, folder.root, folder.manifest, SeenFiles())


def make_odd(path: Path, kind: str) -> None:
    """Something at `path` that is no regular file."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(path))
    else:
        aim = {"device": "/dev/zero", "circle": path.name, "nowhere": "gone.png"}[kind]
        path.symlink_to(aim)


ODD = {
    "pipe": "is a named pipe and no regular file",
    "socket": "is a socket and no regular file",
    "device": "is a device and no regular file",
    "circle": "is a link that leads in a circle",
    "nowhere": r"is a link to gone\.png, where nothing is",
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_regular_file_is_named_and_not_opened(folder, monkeypatch, kind: str) -> None:
    monkeypatch.chdir(folder.root)  # names of sockets are short
    make_odd(folder.root / "images/odd.png", kind)
    with pytest.raises(DataError, match=rf"images/odd\.png: {ODD[kind]}.*(remove it|mend it)"):
        list_folder("mine", folder.dataset, folder.root, folder.manifest, SeenFiles())


@pytest.mark.parametrize("kind", [*ODD, "folder"])
def test_an_image_that_became_something_else(folder, monkeypatch, kind: str) -> None:
    """Since it was listed: `validate` does not open it either."""
    monkeypatch.chdir(folder.root)
    (folder.root / EDITED).unlink()
    make_odd(folder.root / EDITED, kind)
    with pytest.raises(DataError, match=r"row 5: images/003\.png: is a (named|socket|device|link|folder)"):
        validate_dataset(folder.dataset, folder.root, read_json(folder.manifest))


@pytest.mark.parametrize("kind", [*ODD, "folder"])
def test_a_table_that_is_no_regular_file(tmp_path: Path, monkeypatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    make_odd(tmp_path / "train.csv", kind)
    with pytest.raises(DataError, match=r"train\.csv: is a (named|socket|device|link|folder)"):
        read_csv(tmp_path / "train.csv")


def test_a_link_in_a_circle_hides_no_neighbours(make_dataset, tmp_path: Path) -> None:
    (tmp_path / "root/isic/images").mkdir(parents=True)
    Image.effect_noise((8, 8), 50).save(tmp_path / "root/isic/images/a.jpg")
    (tmp_path / "root/aaa").symlink_to("aaa")
    (tmp_path / "root/isic/images/loop").symlink_to("loop")
    dataset = make_dataset(format={"kind": "isic"})
    list_folder("skin", dataset, tmp_path / "root", tmp_path / "raw.json", SeenFiles())
    assert list(read_json(tmp_path / "raw.json")["files"]) == ["images/a.jpg"]
