from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from meddiff.config import DatasetConfig
from meddiff.data.decoding.images import decode
from meddiff.data.obtain.fetch import fetch, read_manifest
from meddiff.errors import DataError
from meddiff.io import sha256_file


def phantom_dataset(make_dataset, images: int = 30) -> DatasetConfig:
    source = {"kind": "phantom", "images": images, "native_size": 16}
    return make_dataset(source=source, format={"kind": "isic"})


def test_phantom_is_generated_and_listed(tmp_path: Path, make_dataset) -> None:
    fetch("skin", phantom_dataset(make_dataset), tmp_path / "raw/files", tmp_path / "raw/manifest.json")
    files = json.loads((tmp_path / "raw/manifest.json").read_text())["files"]
    assert len(files) == 2 * 30 + 2
    for path, entry in files.items():
        file = tmp_path / "raw/files" / path
        assert entry == {"size": file.stat().st_size, "sha256": sha256_file(file)}


def test_manifest_does_not_depend_on_where_and_when(tmp_path: Path, make_dataset) -> None:
    for name in ("a", "b"):
        fetch(
            "skin",
            phantom_dataset(make_dataset),
            tmp_path / name / "files",
            tmp_path / name / "manifest.json",
        )
    assert (tmp_path / "a/manifest.json").read_bytes() == (tmp_path / "b/manifest.json").read_bytes()


def test_phantom_replaces_an_older_one_completely(tmp_path: Path, make_dataset) -> None:
    (tmp_path / "files.partial").mkdir()
    (tmp_path / "files.partial/left_over.jpg").touch()
    fetch("skin", phantom_dataset(make_dataset, 40), tmp_path / "files", tmp_path / "manifest.json")
    fetch("skin", phantom_dataset(make_dataset, 30), tmp_path / "files", tmp_path / "manifest.json")
    assert len(list((tmp_path / "files/images").iterdir())) == 30
    assert {path.name for path in tmp_path.iterdir()} == {"files", "manifest.json"}


def test_local_lists_images_and_csv_only(tmp_path: Path, make_dataset, local_root: Path) -> None:
    (local_root / "images/notes.txt").write_text("x")
    (local_root / "elsewhere.png").write_bytes(b"x")
    fetch("mine", make_dataset(), local_root, tmp_path / "raw/manifest.json")
    files = read_manifest(tmp_path / "raw/manifest.json")["files"]
    assert list(files) == sorted(files)
    assert len(files) == 41
    assert "labels.csv" in files
    assert str(tmp_path) not in (tmp_path / "raw/manifest.json").read_text()


def test_links_are_followed_once(tmp_path: Path, make_dataset, local_root: Path) -> None:
    (local_root / "images/loop").symlink_to(local_root / "images", target_is_directory=True)
    fetch("mine", make_dataset(), local_root, tmp_path / "raw/manifest.json")
    assert len(read_manifest(tmp_path / "raw/manifest.json")["files"]) == 41


def test_missing_local_folder_says_how_to_name_it(tmp_path: Path, make_dataset) -> None:
    with pytest.raises(DataError, match=r"--config root_mine=PATH.*MEDDIFF_ROOT_MINE"):
        fetch("mine", make_dataset(), tmp_path / "nowhere", tmp_path / "manifest.json")


def test_local_folder_without_csv_images_or_folder(tmp_path: Path, make_dataset) -> None:
    with pytest.raises(DataError, match=r"no file labels\.csv"):
        fetch("mine", make_dataset(), tmp_path, tmp_path / "raw/manifest.json")
    (tmp_path / "labels.csv").write_text("file,patient,diagnosis\n")
    with pytest.raises(DataError, match="no folder images"):
        fetch("mine", make_dataset(), tmp_path, tmp_path / "raw/manifest.json")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="no image files"):
        fetch("mine", make_dataset(), tmp_path, tmp_path / "raw/manifest.json")


def test_unusable_manifest_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file; run `fetch`"):
        read_manifest(tmp_path / "x")
    (tmp_path / "x").write_text("[]")
    with pytest.raises(DataError, match="no key 'files'"):
        read_manifest(tmp_path / "x")
    (tmp_path / "x").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        read_manifest(tmp_path / "x")


def test_sixteen_bit_grey_is_scaled(tmp_path: Path) -> None:
    image = Image.new("I;16", (3, 1))
    for x, value in enumerate((0, 257 * 100, 65535)):
        image.putpixel((x, 0), value)
    image.save(tmp_path / "deep.png")
    assert list(decode(tmp_path / "deep.png", 1).tobytes()) == [0, 100, 255]
    assert list(decode(tmp_path / "deep.png", 3).tobytes()) == [0, 0, 0, 100, 100, 100, 255, 255, 255]


def test_palette_is_resolved(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), (200, 10, 30))
    image.quantize(4).save(tmp_path / "palette.png")
    assert Image.open(tmp_path / "palette.png").mode == "P"
    assert decode(tmp_path / "palette.png", 3).getpixel((0, 0)) == (200, 10, 30)


def test_float_image_is_refused(tmp_path: Path) -> None:
    Image.new("F", (2, 2), 0.5).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match=r"floating-point values, 0\.5 to 0\.5, which have no fixed range"):
        decode(tmp_path / "float.tif", 1)
