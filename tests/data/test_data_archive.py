"""Archives that nobody vouches for: what is refused, and what an interrupted extraction leaves."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.data.obtain import archive as archive_module
from meddiff.data.obtain.archive import Archive
from meddiff.errors import DataError

FILES = {
    "data/chexpert/train/patient1/a.jpg": b"a" * 500,
    "data/chexpert/train.csv": b"Path\n",
    "data/isic/images/b.jpg": b"b" * 300,
    "__MACOSX/data/chexpert/train/patient1/._a.jpg": b"resource",
    "data/chexpert/train/patient1/._a.jpg": b"resource",
}


def make_zip(path: Path, files: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = mode << 16
            target.writestr(member, content)
    return path


def unpack(path: Path, folder: str, target: Path) -> list[Path]:
    with Archive(path) as contents:
        return contents.extract_folder(contents.find_folder(folder), target)


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_one_folder_is_unpacked_without_what_macos_adds(tmp_path: Path) -> None:
    unpack(make_zip(tmp_path / "a.zip", FILES), "chexpert", tmp_path / "out")
    assert tree(tmp_path / "out") == {"train/patient1/a.jpg": b"a" * 500, "train.csv": b"Path\n"}


@pytest.mark.parametrize(
    "name, reason",
    [
        ("/etc/passwd", "absolute path"),
        ("C:/windows/x", "absolute path"),
        ("data/../../x", "lead out of the folder"),
        ("..", "lead out of the folder"),
        ("data\\..\\..\\x", "lead out of the folder"),
    ],
)
def test_paths_that_lead_out_of_the_folder(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        unpack(make_zip(tmp_path / "a.zip", {**FILES, name: b"x"}), "chexpert", tmp_path / "out")
    assert repr(name) in str(caught.value)
    assert not (tmp_path / "out").exists()


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.sampled_from(["..", ".", "", "a", "b.jpg", "C:", "data"]), min_size=1, max_size=5))
def test_no_name_leads_out_of_the_folder(tmp_path_factory, parts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("archive")
    name = "data/" + "/".join(parts)
    target = folder / "in/side"
    try:
        unpack(make_zip(folder / "a.zip", {"data/first.jpg": b"1", name: b"x"}), "data", target)
    except DataError:
        assert not target.exists() or list(tree(target)) == ["first.jpg"]
    assert {p.name for p in folder.iterdir()} <= {"a.zip", "in"}
    assert {p.name for p in (folder / "in").glob("*")} <= {"side"}


@pytest.mark.parametrize("kind, reason", [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "is a device")])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int, reason: str) -> None:
    path = make_zip(tmp_path / "a.zip", {"data/chexpert/link": b"/etc/passwd"}, mode=kind | 0o777)
    with pytest.raises(DataError, match=rf"'data/chexpert/link' {reason}"):
        unpack(path, "chexpert", tmp_path / "out")


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"data/x.jpg": b"1"})
    with zipfile.ZipFile(path, "a") as target, pytest.warns(UserWarning, match="Duplicate"):
        target.writestr("data/x.jpg", b"2")
    with pytest.raises(DataError, match=r"'data/x\.jpg' is there twice"):
        Archive(path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"data/x.jpg": b"1"})
    content = bytearray(path.read_bytes())
    flags = content.index(b"PK\x01\x02") + 8
    content[flags] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is encrypted"):
        Archive(path)


@pytest.mark.parametrize("size", [0, 50, -1, -200])
def test_a_truncated_archive(tmp_path: Path, size: int) -> None:
    path = make_zip(tmp_path / "a.zip", FILES)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"a\.zip: is no complete zip archive.*; delete it and run again"):
        Archive(path)
    with pytest.raises(DataError, match="no such file"):
        Archive(tmp_path / "b.zip")


def test_a_damaged_member_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
        target.writestr("data/x.jpg", b"x" * 1000)
    path.write_bytes(path.read_bytes().replace(b"x" * 10, b"y" * 10, 1))
    with pytest.raises(DataError, match=r"member data/x\.jpg: is damaged: Bad CRC-32.*; delete it and run"):
        unpack(path, "data", tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_an_archive_that_claims_to_grow_without_measure(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"data/x.jpg": bytes(1 << 25)})
    assert path.stat().st_size < 1 << 17
    with pytest.raises(DataError, match="claims to unpack to 33554432"):
        Archive(path)


def test_a_bomb_among_other_things(tmp_path: Path) -> None:
    """Beside images the whole archive grows by less than a factor of ten."""
    images = np.random.default_rng(0).bytes(1 << 22)
    path = make_zip(tmp_path / "a.zip", {"data/x.jpg": images, "data/y.jpg": bytes(1 << 25)})
    with pytest.raises(DataError, match=r"data/y\.jpg: has \d+ bytes and claims to unpack to 33554432"):
        Archive(path)


def test_a_member_larger_than_it_claims(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"data/x.jpg": b"x" * 1000})
    content = bytearray(path.read_bytes())
    size = content.index(b"PK\x01\x02") + 24
    assert content[size : size + 4] == (1000).to_bytes(4, "little")
    content[size : size + 4] = (10).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"member data/x\.jpg: is damaged"):
        unpack(path, "data", tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path, monkeypatch) -> None:
    """The folder has 505 bytes; a hundredth of the disk is left to others."""
    usage = type("Usage", (), {"free": 1504, "total": 100_000})()
    monkeypatch.setattr(archive_module.shutil, "disk_usage", lambda _: usage)
    path = make_zip(tmp_path / "a.zip", FILES)
    with pytest.raises(DataError, match=r"unpacking needs .* GB, .* has 0\.0 GB left.*make room"):
        unpack(path, "chexpert", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    usage.free += 1
    unpack(path, "chexpert", tmp_path / "out")
    assert (tmp_path / "out/train.csv").is_file()


def test_a_file_where_a_folder_must_be(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"data/x": b"1", "data/x/y": b"2"})
    with pytest.raises(DataError, match="member data/x/y: cannot be written"):
        unpack(path, "data", tmp_path / "out")


def test_an_extraction_that_was_killed_goes_on(tmp_path: Path, monkeypatch) -> None:
    files = {f"data/{i}.jpg": bytes([i]) * (100 + i) for i in range(6)}
    path = make_zip(tmp_path / "a.zip", files)
    write, written = Archive._write, []

    def killed_at_the_fourth(self: Archive, member: str, target: Path) -> None:
        if len(written) == 3:
            target.with_name(f".{target.name}.partial").write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(member)
        write(self, member, target)

    monkeypatch.setattr(Archive, "_write", killed_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        unpack(path, "data", tmp_path / "out")
    (tmp_path / "out/1.jpg").write_bytes(b"damaged since")
    monkeypatch.setattr(Archive, "_write", lambda self, m, t: (written.append(m), write(self, m, t)))
    unpack(path, "data", tmp_path / "out")
    assert written == [f"data/{i}.jpg" for i in (0, 1, 2, 1, 3, 4, 5)]
    assert tree(tmp_path / "out") == {name.removeprefix("data/"): text for name, text in files.items()}


def test_the_folder_nearest_to_the_top_is_meant(tmp_path: Path) -> None:
    files = {"a/b/isic/x": b"1", "a/isic/y": b"2", "a/other/isic2/z": b"3"}
    with Archive(make_zip(tmp_path / "a.zip", files)) as contents:
        assert contents.find_folder("isic") == PurePosixPath("a/isic")
        with pytest.raises(
            DataError, match=r"no folder 'chexpert' .*its folders are a, a/b, a/isic, a/other"
        ):
            contents.find_folder("chexpert")
    with (
        Archive(make_zip(tmp_path / "b.zip", {"a/isic/x": b"1", "b/isic/y": b"2"})) as contents,
        pytest.raises(DataError, match="both a/isic and b/isic"),
    ):
        contents.find_folder("isic")
