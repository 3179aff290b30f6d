from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torchvision.transforms.functional import center_crop
from torchvision.transforms.functional import resize as resize_short_side

from meddiff.cli import main
from meddiff.config.dataset_slices import (
    FetchParams,
    SplitParams,
    StoreParams,
    StratifyParams,
    ValidateParams,
    parse_slice,
    slice_of,
)
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.decoding.pixels import PixelFormat, resize
from meddiff.data.stores import store_files
from meddiff.data.stores.build import build_store
from meddiff.data.stores.store import Store
from meddiff.data.tables import read_splits
from meddiff.errors import ConfigError, DataError
from meddiff.io import sha256_file

SIZE = 12
NAMES = ["healthy", "sick"]


def make_store(root: Path, out: Path, dataset: DatasetConfig, threads: int | None = None) -> None:
    """Run the four commands on a local folder, as the rules do."""
    raw, table, splits = out / "raw", out / "table.csv", out / "splits"
    steps = [
        ["fetch", "--dataset", "mine", "--params", slice_of(dataset, FetchParams),
         "--root", str(root), "--manifest", str(raw / "manifest.json")],
        ["validate", "--params", slice_of(dataset, ValidateParams), "--manifest", str(raw / "manifest.json"),
         "--root", str(root), "--table", str(table), "--flow", str(out / "flow.json")],
        ["split", "--params", slice_of(dataset, SplitParams),
         "--table", str(table), "--out-dir", str(splits)],
        ["store", "--params", slice_of(dataset, StoreParams), "--size", str(SIZE),
         "--splits-dir", str(splits), "--root", str(root), "--out-dir", str(out / "store"),
         *(["--threads", str(threads)] if threads else [])],
    ]  # fmt: skip
    for step in steps:
        assert main(step) == 0, step[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_store_is_what_torchvision_makes_of_each_image(
    tmp_path: Path, make_dataset, local_root: Path, channels: int
) -> None:
    from torchvision.transforms import InterpolationMode, Resize

    rgb = np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(local_root / "images/000.png")
    make_store(local_root, tmp_path, make_dataset(channels=channels, convert=["grey_to_rgb", "rgb_to_grey"]))
    transform = Resize((SIZE, SIZE), InterpolationMode.BILINEAR, antialias=True)
    for name, frame in read_splits(tmp_path / "splits").items():
        store = Store.open(tmp_path / "store", name)
        assert store.images.shape == (len(frame), SIZE, SIZE, channels)
        assert store.images.dtype == np.uint8
        assert store.image_ids == frame["image_id"].tolist()
        assert store.labels.tolist() == frame["label"].tolist()
        assert store.labels.dtype == np.int64
        assert store.groups == frame["group"].tolist()
        for row, path in enumerate(frame["path"]):
            image = Image.open(local_root / path).convert("L" if channels == 1 else "RGB")
            expected = np.asarray(transform(image)).reshape(SIZE, SIZE, channels)
            np.testing.assert_array_equal(store.images[row], expected)


@pytest.fixture
def stored(tmp_path: Path, make_dataset, local_root: Path) -> Path:
    make_store(local_root, tmp_path, make_dataset())
    return tmp_path / "store"


def test_manifest_describes_the_arrays(stored: Path) -> None:
    manifest = json.loads((stored / "manifest.json").read_text())
    assert manifest["class_names"] == NAMES
    assert (manifest["size"], manifest["channels"]) == (SIZE, 1)
    for name, entry in manifest["splits"].items():
        store = Store.open(stored, name)
        assert entry["n"] == len(store)
        assert entry["sha256"] == hashlib.sha256(store.images.tobytes()).hexdigest()
        split = stored.parent / "splits" / f"{name}.csv"
        assert entry["split_sha256"] == hashlib.sha256(split.read_bytes()).hexdigest()
        assert store.num_classes == 2


def test_bytes_do_not_depend_on_threads_or_place(
    tmp_path: Path, make_dataset, local_root: Path, stored: Path
) -> None:
    make_store(local_root, tmp_path / "again", make_dataset(), threads=1)
    files = sorted(path.name for path in stored.iterdir())
    assert files == ["index.parquet", "manifest.json", "test.npy", "train.npy", "valid.npy"]
    for name in files:
        assert (stored / name).read_bytes() == (tmp_path / "again/store" / name).read_bytes()


def test_images_cannot_be_changed(stored: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        Store.open(stored, "train").images[0] = 0


def test_array_must_fit_the_manifest(stored: Path) -> None:
    np.save(stored / "train.npy", np.zeros((3, SIZE, SIZE, 1), np.uint8))
    with pytest.raises(DataError, match=r"train\.npy: is uint8 \[3, 12, 12, 1\], the manifest says"):
        Store.open(stored, "train")
    whole = (stored / "valid.npy").read_bytes()
    (stored / "valid.npy").write_bytes(whole[:-10])
    with pytest.raises(DataError, match=r"valid\.npy: cannot be opened"):
        Store.open(stored, "valid")


def flipped(whole: bytes, place: int, rng: np.random.Generator) -> bytes:
    damaged = bytearray(whole)
    damaged[place] ^= rng.integers(1, 256)
    return bytes(damaged)


def content(store: Store) -> tuple:
    return store.images.tobytes(), store.image_ids, store.labels.tolist(), store.groups, store.class_names


@pytest.mark.parametrize("name", ["train.npy", "index.parquet"])
def test_flipped_bytes_never_reach_a_result(stored: Path, name: str) -> None:
    """pandas reads some of them as other labels or ids, NumPy all of them as other images."""
    before, rng = content(Store.open(stored, "train")), np.random.default_rng(0)
    whole = (stored / name).read_bytes()
    header = range(128) if name == "train.npy" else ()  # with the type and shape of the array
    noticed = 0
    for place in (*header, *rng.integers(0, len(whole), size=150)):
        (stored / name).write_bytes(flipped(whole, place, rng))
        try:
            assert content(Store.open(stored, "train")) == before  # another white space in a header
        except DataError as error:
            noticed += 1
            assert re.match(rf".*{name}: .*run `store` again", str(error), re.DOTALL)
    assert noticed > 75


def test_labels_that_were_swapped_are_noticed(stored: Path) -> None:
    index = pd.read_parquet(stored / "index.parquet")
    rows = index.index[index["split"] == "train"]
    index.loc[rows, "label"] = 1 - index.loc[rows, "label"]
    index.to_parquet(stored / "index.parquet", index=False)
    with pytest.raises(DataError, match=r"index\.parquet: is damaged or was changed.*run `store` again"):
        Store.open(stored, "train")
    assert len(Store.open(stored, "valid"))


def test_stores_of_earlier_versions_are_read(stored: Path) -> None:
    """They had no checksum of the index."""
    before = content(Store.open(stored, "train"))
    manifest = json.loads((stored / "manifest.json").read_text())
    for entry in manifest["splits"].values():
        del entry["index_sha256"]
    (stored / "manifest.json").write_text(json.dumps(manifest))
    assert content(Store.open(stored, "train")) == before


def test_images_are_compared_once_a_process_and_again_when_they_are_replaced(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(path: Path, first: int = 0) -> str:
        read.append(path.name)
        return sha256_file(path, first)

    monkeypatch.setattr(store_files, "sha256_file", counted)
    for _ in range(2):
        Store.open(stored, "train")
        store_files.check_images(stored, "train")
    Store.open(stored, "valid", checked=False)
    assert read == ["train.npy"]
    whole = (stored / "train.npy").read_bytes()
    (stored / "other").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (stored / "other").replace(stored / "train.npy")
    with pytest.raises(DataError, match=r"train\.npy: is damaged or was changed"):
        Store.open(stored, "train")
    with pytest.raises(DataError, match=r"train\.npy: is damaged or was changed"):
        store_files.check_images(stored, "train")
    Store.open(stored, "train", checked=False)  # for its size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format_version": 1}',
        '{"format_version": 1, "splits": {"train": 5}}',
        "\udcff",
    ],
)
def test_damaged_manifests(stored: Path, text: str) -> None:
    (stored / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=r"manifest\.json: is no manifest of a store .*; run `store` again"):
        Store.open(stored, "train")


def test_unusable_stores(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file; run `store`"):
        Store.open(tmp_path / "nowhere", "train")
    with pytest.raises(DataError, match="no split 'dev'; the splits are test, train, valid"):
        Store.open(stored, "dev")
    (stored / "index.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"index\.parquet: cannot be read"):
        Store.open(stored, "train")
    (stored / "manifest.json").write_text('{"format_version": 0}')
    with pytest.raises(DataError, match=r"format_version is 0, expected .*version 1\); run `store` again"):
        Store.open(stored, "train")


def test_undecodable_image_leaves_no_array(stored: Path, local_root: Path, tmp_path: Path) -> None:
    first = read_splits(tmp_path / "splits")["train"]["path"][0]
    (local_root / first).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"train\.csv: 1 problem\n  row 2: .*is not an image"):
        build_store(tmp_path / "splits", local_root, tmp_path / "new", PixelFormat(SIZE, 1), NAMES)
    assert list((tmp_path / "new").iterdir()) == []


def test_params_may_be_the_slice_or_the_whole_dataset(make_dataset) -> None:
    dataset = make_dataset()
    for model in (FetchParams, ValidateParams, SplitParams, StoreParams):
        piece = parse_slice(slice_of(dataset, model), model)
        assert piece == parse_slice(dataset.model_dump_json(), model)
        # Newer keys are there only where they say something: they must not make stores stale.
        always = {key for key, field in DatasetConfig.model_fields.items() if field.exclude_if is None}
        always -= {"leaks"}  # a split depends on it where it moves images
        assert set(json.loads(slice_of(dataset, model))) == set(model.model_fields) & always


def test_an_unrelated_edit_leaves_the_slices_alone(make_dataset) -> None:
    one, other = make_dataset(), make_dataset(title="another title", image_size=64)
    for model in (FetchParams, ValidateParams, SplitParams, StoreParams):
        assert slice_of(one, model) == slice_of(other, model)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object"),
        ('{"colour": 1}', "unknown keys colour"),
        ('{"channels": 2, "classes": []}', "channels"),
        ("{}", "classes: Field required"),
    ],
)
def test_unusable_params(text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_slice(text, StoreParams)


def test_no_torch_is_imported() -> None:
    names = ["decoding.images", "layouts.rows", "obtain.fetch", "phantom", "splitting.splits", "stores.build"]
    names += ["tables", "validate"]
    modules = ", ".join(f"meddiff.data.{name}" for name in names)
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (37, 90), (20, 20)])
def test_crop_is_torchvisions_resize_and_center_crop(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    expected = center_crop(resize_short_side(image, 16), [16, 16])
    assert np.array_equal(resize(image, 16, "crop"), np.asarray(expected))
    assert np.array_equal(resize(image, 16, "crop"), resize(image, 16)) == (shape[0] == shape[1])


@pytest.mark.parametrize(
    "row, expected",
    [
        ("{test}", r"\({id}\) and test row 2 \({id}\): the same image"),
        ("renamed,{path},{label},elsewhere", r"\(renamed\) and test row 2 \({id}\): the same file"),
        ("other,images/x.png,0,{group}", r"\(other\) and test row 2 \({id}\): the same group '{group}'"),
    ],
    ids=["image", "file", "group"],
)
def test_splits_that_were_edited_must_not_leak(
    stored: Path, local_root: Path, make_dataset, caplog, row: str, expected: str
) -> None:
    """Whoever reads them looks: here the store and the strata."""
    folder = stored.parent / "splits"
    test = (folder / "test.csv").read_text().splitlines()[1]
    cells = dict(zip(("id", "path", "label", "group"), test.split(","), strict=True))
    with open(folder / "train.csv", "a") as stream:
        stream.write(row.format(test=test, **cells) + "\n")
    audit = {"title": "digit", "value": {"kind": "image_id", "pattern": ".*(.)"}}
    dataset = make_dataset(audit=audit)
    common = ["--splits-dir", str(folder), "--root", str(local_root)]
    commands = [
        ["store", "--params", slice_of(dataset, StoreParams), "--size", "12", *common,
         "--out-dir", str(stored.parent / "new")],
        ["stratify", "--params", slice_of(dataset, StratifyParams), *common,
         "--manifest", str(stored.parent / "raw/manifest.json"), "--out", str(stored.parent / "strata.csv")],
    ]  # fmt: skip
    for command in commands:
        caplog.clear()
        assert main(command) == 1
        assert re.search(r"train row \d+ " + expected.format(**cells), caplog.text)
    assert not (stored.parent / "new").exists() and not (stored.parent / "strata.csv").exists()


def test_twelve_bits_are_stored_on_the_whole_scale(tmp_path: Path, make_dataset, local_root: Path) -> None:
    """`bits` comes from the dataset's file through the commands into the array."""
    film = np.full((SIZE, SIZE), 2048, dtype=np.uint16)
    film[0, 0] = 4095
    Image.fromarray(film).save(local_root / "images/000.png")
    make_store(local_root, tmp_path, make_dataset(bits=12))
    for name in ("train", "valid", "test"):
        store = Store.open(tmp_path / "store", name)
        if "000" in store.image_ids:
            pixels = store.images[store.image_ids.index("000"), ..., 0]
    assert pixels[0, 0] == 255 and pixels[1, 1] == 128


def test_a_full_disk_is_said_before_an_image_is_read(tmp_path: Path, stored: Path, local_root: Path) -> None:
    """In a process of its own, whose files may have 1,000 bytes; a memory map would end it with a signal."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from meddiff.data.decoding import dataset_images, pixels; from meddiff.data.stores import build\n"
        "from meddiff.errors import DiskError\n"
        "dataset_images.reading = lambda *_: sys.exit('an image was read')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "splits, root, out = map(Path, sys.argv[1:])\n"
        "try: build.build_store(splits, root, out, pixels.PixelFormat(12, 1), ['healthy', 'sick'])\n"
        "except DiskError as error: print(error)"
    )
    arguments = [str(stored.parent / "splits"), str(local_root), str(tmp_path / "new")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    assert "train.npy: cannot be written: the file would be larger than is allowed" in done.stdout
    assert list((tmp_path / "new").iterdir()) == []
