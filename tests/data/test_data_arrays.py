"""Datasets that are one ``.npz`` file, as MedMNIST ships them."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from meddiff.config.dataset_slices import FetchParams
from meddiff.config.load import load_dataset
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.decoding.dataset_images import images_of
from meddiff.data.decoding.pixels import PixelFormat
from meddiff.data.layouts import array_file
from meddiff.data.layouts.array_file import ArrayFile
from meddiff.data.layouts.rows import read_table
from meddiff.data.leaks.report import find_leaks
from meddiff.data.obtain.fetch import fetch, read_manifest
from meddiff.data.obtain.listing import refresh_manifest
from meddiff.data.splitting.splits import make_splits, write_splits
from meddiff.data.stores.build import build_store
from meddiff.data.stores.store import Store
from meddiff.data.validate import validate_dataset
from meddiff.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[3] / "shared/real/medmnist"
FILE = "some_64.npz"

# All 2D sets of MedMNIST with one label an image: classes, channels (info.py of version 3.0.2).
SETS = {
    "pathmnist": (9, 3),
    "dermamnist": (7, 3),
    "octmnist": (4, 1),
    "pneumoniamnist": (2, 1),
    "retinamnist": (5, 3),
    "breastmnist": (2, 1),
    "bloodmnist": (8, 3),
    "tissuemnist": (8, 1),
    "organamnist": (11, 1),
    "organcmnist": (11, 1),
    "organsmnist": (11, 1),
}
COUNTS = {"train": 24, "val": 12, "test": 13}

Arrays = dict[str, np.ndarray]


def medmnist(classes: int = 2, channels: int = 1, side: int = 28) -> Arrays:
    """Arrays in the layout of a set."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in COUNTS.items():
        shape = (count, side, side) if channels == 1 else (count, side, side, 3)
        arrays[f"{part}_images"] = rng.integers(0, 256, shape, dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % classes).astype(np.uint8)[:, None]
    return arrays


def write(folder: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    folder.mkdir(exist_ok=True)
    np.savez_compressed(folder / FILE, **arrays)
    return folder / FILE


def dataset_of(classes: int = 2, channels: int = 1, **changes: Any) -> DatasetConfig:
    document = {
        "title": "arrays",
        "source": {"kind": "local"},
        "format": {"kind": "arrays", "file": FILE},
        "classes": [{"value": i, "name": f"class {i}"} for i in range(classes)],
        "image_size": 16,
        "channels": channels,
        "split": {"kind": "arrays"},
    }
    return DatasetConfig.model_validate(document | changes)


def stored(root: Path, out: Path, dataset: DatasetConfig) -> dict[str, Store]:
    """Fetch, validate, split and store, as the rules do."""
    fetch("some", dataset, root, out / "raw.json")
    table = validate_dataset(dataset, root, read_manifest(out / "raw.json")).table
    splits = make_splits(dataset, table)
    find_leaks(dataset, splits, table)
    write_splits(splits, out / "splits")
    pixels = PixelFormat(dataset.image_size, dataset.channels)
    names = [entry.name for entry in dataset.classes]
    build_store(out / "splits", root, out / "store", pixels, names, layout=dataset.format)
    return {split: Store.open(out / "store", split) for split in ("train", "valid", "test")}


@pytest.mark.parametrize(
    ("name", "side"),
    [(name, 28) for name in SETS]
    + [(name, side) for name in ("pathmnist", "octmnist") for side in (64, 128, 224)],
)
def test_every_set_is_stored_as_it_is(tmp_path: Path, name: str, side: int) -> None:
    classes, channels = SETS[name]
    arrays = medmnist(classes, channels, side)
    write(tmp_path / "in", arrays)
    stores = stored(tmp_path / "in", tmp_path, dataset_of(classes, channels, image_size=side))
    for part, split in (("train", "train"), ("val", "valid"), ("test", "test")):
        store, images = stores[split], arrays[f"{part}_images"]
        np.testing.assert_array_equal(store.images, images.reshape(*images.shape[:3], channels))
        assert store.labels.tolist() == arrays[f"{part}_labels"].ravel().tolist()
        assert store.image_ids[:2] == [f"{part}_00000", f"{part}_00001"]


def test_one_checksum_is_of_all_images_and_each_has_one_of_its_own(tmp_path: Path) -> None:
    arrays = medmnist()
    arrays["test_images"][3] = arrays["train_images"][0]
    arrays["test_labels"][3] = arrays["train_labels"][0]
    file = write(tmp_path / "in", arrays)
    fetch("some", dataset_of(), file.parent, tmp_path / "raw.json")
    manifest = json.loads((tmp_path / "raw.json").read_text())
    assert list(manifest["files"]) == [FILE]
    table = validate_dataset(dataset_of(), file.parent, manifest).table.set_index("image_id")
    assert table.at["train_00000", "sha256"] == table.at["test_00003", "sha256"]
    assert table["sha256"].nunique() == sum(COUNTS.values()) - 1


def test_copies_in_published_splits_are_reported_and_stay(tmp_path: Path, caplog) -> None:
    arrays = medmnist()
    arrays["test_images"][3] = arrays["train_images"][0]
    write(tmp_path / "in", arrays)
    stores = stored(tmp_path / "in", tmp_path, dataset_of())
    assert len(stores["test"]) == COUNTS["test"]
    assert "THE PUBLISHED SPLITS SHARE IMAGES" in caplog.text
    assert "train_00000" in caplog.text


def test_splits_may_be_drawn_instead(tmp_path: Path) -> None:
    write(tmp_path / "in", medmnist())
    drawn = dataset_of(split={"kind": "recipe", "valid": 0.2, "test": 0.2})
    stores = stored(tmp_path / "in", tmp_path, drawn)
    assert sum(len(store) for store in stores.values()) == sum(COUNTS.values())
    assert any(image_id.startswith("val") for image_id in stores["train"].image_ids)


def test_large_arrays_are_mapped_and_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = medmnist(channels=3)
    file = write(tmp_path / "in", arrays)
    monkeypatch.setattr(array_file, "_IN_MEMORY_BYTES", 1000)
    opened = ArrayFile(file)
    np.testing.assert_array_equal(opened.image("test", 2), arrays["test_images"][2])
    assert isinstance(opened._images["test"].base, np.memmap)


def test_an_edited_file_is_noticed(tmp_path: Path) -> None:
    arrays = medmnist()
    file = write(tmp_path / "in", arrays)
    manifest, seen = tmp_path / "raw.json", tmp_path / "seen.json"
    table = tmp_path / "table.csv"
    fetch("some", dataset_of(), file.parent, manifest, seen=seen)
    table.write_text(f"image_id,path\ntrain_00000,{FILE}/train_00000\n")
    assert not refresh_manifest("some", dataset_of(), file.parent, manifest, table, seen)
    arrays["train_images"][0] = 7
    write(file.parent, arrays)
    assert refresh_manifest("some", dataset_of(), file.parent, manifest, table, seen)
    listed = read_manifest(manifest)
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(DataError, match=r"some_64\.npz: has \d+ bytes, the manifest says \d+"):
        validate_dataset(dataset_of(), file.parent, listed)


def changed(**arrays: Any) -> Callable[[Arrays], Arrays]:
    return lambda before: {**before, **arrays}


def without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda before: {key: value for key, value in before.items() if key != name}


N = COUNTS["train"]
BAD = {
    "multi-label": (
        changed(train_labels=np.zeros((N, 14), np.uint8)),
        r"train_labels has 14 labels an image \(multi-label, as ChestMNIST\).*exactly one",
    ),
    "volumes": (changed(train_images=np.zeros((N, 28, 28, 28), np.uint8)), r"volumes \(3D\).*slices"),
    "colour volumes": (changed(train_images=np.zeros((N, 8, 8, 8, 3), np.uint8)), r"volumes \(3D\)"),
    "16 bits": (changed(val_images=np.zeros((12, 28, 28), np.uint16)), r"val_images is uint16 .*0 to 255"),
    "floats": (changed(val_images=np.zeros((12, 28, 28))), r"val_images is float64"),
    "flat": (changed(val_images=np.zeros((12, 784), np.uint8)), r"val_images is uint8 \[12, 784\]"),
    "other number": (changed(val_labels=np.zeros((3, 1), np.uint8)), r"labels is uint8 \[3, 1\].*\[12, 1\]"),
    "labels with a point": (changed(val_labels=np.zeros((12, 1))), r"val_labels is float64.*whole numbers"),
    "no images": (changed(val_images=np.zeros((0, 28, 28), np.uint8)), r"val_images is uint8 \[0, 28, 28\]"),
    "missing": (without("test_labels"), r"has no array test_labels.*The arrays there are: test_images"),
    "objects": (
        changed(train_labels=np.full((N, 1), "x", dtype=object)),
        r"train_labels holds Python objects",
    ),
    "by column": (
        changed(train_images=np.asfortranarray(np.zeros((N, 28, 28), np.uint8))),
        r"column by column.*ascontiguousarray",
    ),
    "unknown label": (
        changed(train_labels=np.full((N, 1), 9, np.uint8)),
        r"train\[0\]: unknown label 9; known are 0, 1: add `- \{value: 9, name: NAME\}` to `classes`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    change, message = BAD[case]
    file = write(tmp_path / "in", change(medmnist()))
    with pytest.raises(
        DataError, match=f"some_64\\.npz: .*{message}" if case != "unknown label" else message
    ):
        read_table(dataset_of(), file.parent)


def array_bytes(shape: tuple[int, ...], there: int) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue() + bytes(there)


@pytest.mark.parametrize(
    ("shape", "there"), [((10**9, 1000, 1000), 10), ((2, 28, 28), 2 * 28 * 28 + 1), ((1 << 62, 4), 0)]
)
def test_a_size_that_is_not_there_is_never_allocated(tmp_path: Path, shape: tuple, there: int) -> None:
    file = tmp_path / FILE
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("train_images.npy", array_bytes(shape, there))
    with pytest.raises(DataError, match=r"train_images says .* bytes, and the archive has"):
        ArrayFile(file)


def test_damage_is_found_by_the_checksums_of_the_archive(tmp_path: Path) -> None:
    file = tmp_path / FILE
    np.savez(file, **medmnist())
    whole = bytearray(file.read_bytes())
    whole[200] ^= 1
    file.write_bytes(whole)
    with pytest.raises(DataError, match=r"train_images cannot be read .*download it again"):
        ArrayFile(file).image("train", 0)
    file.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"cannot be read as an \.npz file .*download it again"):
        ArrayFile(file)


def test_an_archive_that_says_less_than_it_unpacks_to_is_cut_there(tmp_path: Path) -> None:
    """A bomb: the directory says the size of the header's shape, the stream has a thousand times as much."""
    file = write(tmp_path / "in", medmnist())
    with zipfile.ZipFile(file) as archive:
        member = archive.getinfo("train_images.npy")
    whole = bytearray(file.read_bytes())
    place = whole.rindex(b"PK\x01\x02", 0, whole.rindex(b"train_images.npy"))
    assert struct.unpack_from("<I", whole, place + 24)[0] == member.file_size
    struct.pack_into("<I", whole, place + 24, member.file_size - 28 * 28)
    file.write_bytes(whole)
    with pytest.raises(DataError, match="train_images"):
        ArrayFile(file).image("train", 0)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no file some_64\.npz \(format\.file\).*root_some=PATH"):
        fetch("some", dataset_of(), tmp_path, tmp_path / "raw.json")
    with pytest.raises(DataError, match=r"some_64\.npz: there is no such file"):
        images_of(tmp_path, dataset_of().format)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": {"kind": "isic"}}, r"say `split: \{kind: recipe\}`"),
        ({"participants": {"age": "age"}}, "an .npz file has no columns; name a CSV"),
        (
            {"audit": {"title": "x", "value": {"kind": "column", "column": "x"}, "strata": [{"name": "x"}]}},
            "an .npz file has no columns",
        ),
    ],
)
def test_keys_that_do_not_go_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ValidationError, ConfigError), match=message):
        dataset_of(**changes)


def test_what_is_fetched_depends_on_the_name_of_the_file() -> None:
    assert FetchParams.model_validate(
        {"source": {"kind": "local"}, "format": {"kind": "arrays", "file": "a"}}
    )
    with pytest.raises(ValidationError, match="expected a path inside the folder"):
        dataset_of(format={"kind": "arrays", "file": "../a.npz"})


@pytest.mark.skipif(not ROOT.is_dir(), reason="needs MedMNIST's files in ../shared/real/medmnist")
@pytest.mark.parametrize(
    ("name", "counts", "copies"),
    [
        ("pneumoniamnist", (4708, 524, 624), {("train", "valid"): 8}),
        ("breastmnist", (546, 78, 156), {("train", "test"): 1}),
    ],
)
def test_real_files(tmp_path: Path, name: str, counts: tuple, copies: dict) -> None:
    dataset = load_dataset(name, Path(__file__).parents[2] / "config")
    fetch(name, dataset, ROOT, tmp_path / "raw.json")
    table = validate_dataset(dataset, ROOT, read_manifest(tmp_path / "raw.json")).table
    splits = make_splits(dataset, table)
    assert tuple(map(len, splits.values())) == counts == tuple(dataset.sizes.values())
    hashes = {
        split: set(table.loc[table["image_id"].isin(frame["image_id"]), "sha256"])
        for split, frame in splits.items()
    }
    shared = {
        (first, second): len(hashes[first] & hashes[second])
        for first, second in (("train", "valid"), ("train", "test"), ("valid", "test"))
    }
    assert {pair: number for pair, number in shared.items() if number} == copies
