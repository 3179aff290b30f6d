"""The errors file: written and joined in parts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from error_samples import make_errors, save_errors
from meddiff.errors import DataError
from meddiff.scoring import error_file
from meddiff.scoring.error_file import gather_errors, load_errors

IMAGES, STEPS = 11, 5


@pytest.fixture
def dataset() -> xr.Dataset:
    rng = np.random.default_rng(0)
    errors = rng.random((IMAGES, STEPS, 3), dtype=np.float32)
    errors[2, 3:] = np.nan
    return make_errors(
        errors,
        rng.random((IMAGES, STEPS), dtype=np.float32),
        [f"image {'ä' * i}/{i}" for i in range(IMAGES)],
        np.arange(IMAGES) % 3,
        [f"patient {i // 2}" for i in range(IMAGES)],
        ["none", "some", "all"],
        {"weights_sha256": "abc", "seed": 3, "device": "card 0"},
    )


def ids(dataset: xr.Dataset) -> list[str]:
    return dataset["image"].values.tolist()


def split(dataset: xr.Dataset, folder: Path, shards: int) -> list[Path]:
    return [
        save_errors(dataset.isel(image=slice(i, None, shards)), folder / f"{i}.nc") for i in range(shards)
    ]


@pytest.mark.parametrize("rows_at_once", [1, 4, 100])
def test_what_is_written_in_parts_is_read_as_a_whole(dataset, tmp_path, rows_at_once):
    got = load_errors(save_errors(dataset, tmp_path / "errors.nc", rows_at_once))
    xr.testing.assert_identical(got, dataset)
    assert {name: got[name].dtype for name in got} == {name: dataset[name].dtype for name in dataset}


def test_it_is_what_xarray_writes_with_a_checksum(dataset, tmp_path):
    """Readers of netCDF skip the checksum."""
    dataset.to_netcdf(tmp_path / "xarray.nc", engine="h5netcdf")
    save_errors(dataset, tmp_path / "errors.nc")
    with xr.open_dataset(tmp_path / "xarray.nc") as one, xr.open_dataset(tmp_path / "errors.nc") as other:
        xr.testing.assert_identical(one.assign_attrs(format_version=error_file.FORMAT_VERSION), other)


def test_the_same_content_gives_the_same_bytes(dataset, tmp_path):
    one, other = (save_errors(dataset, tmp_path / name, rows) for name, rows in (("a", 2), ("b", 100)))
    assert one.read_bytes() == other.read_bytes()


def test_what_is_not_written_completely_is_not_there(dataset, tmp_path):
    path = tmp_path / "errors.nc"
    small = (dataset[name].values for name in ("image", "label", "group", "class"))
    with (
        pytest.raises(KeyboardInterrupt),
        error_file.errors_file(path, error_file.ImageSet(*small), STEPS, {}) as write,
    ):
        write(0, dataset["errors"].values[:3], dataset["logsnr"].values[:3])
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def assert_refused(path: Path, reason: str = "") -> None:
    for read in (load_errors, lambda path: gather_errors([path], [], path.with_name("all.nc"))):
        with pytest.raises(DataError, match=rf"errors\.nc: .*{reason}.*delete it and run again"):
            read(path)


def test_every_flipped_byte_is_noticed_before_anything_is_parsed(dataset, tmp_path, monkeypatch):
    """HDF5 reads some of them as other numbers, and works on others for minutes."""
    path = save_errors(dataset, tmp_path / "errors.nc")
    whole, rng = path.read_bytes(), np.random.default_rng(2)
    places = [
        *range(len(whole) - 120, len(whole), 7),
        *rng.integers(0, len(whole), size=100),
    ]  # the checksum itself as well
    monkeypatch.setattr(error_file, "xr", None)
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        assert_refused(path)


@pytest.mark.parametrize("length", [0, 1, 300, 5000, -115, -100, -1])
def test_a_file_that_ends_early_is_named(dataset, tmp_path, length):
    path = save_errors(dataset, tmp_path / "errors.nc")
    path.write_bytes(path.read_bytes()[:length])
    assert_refused(path)


def test_rows_that_were_swapped_are_noticed(dataset, tmp_path):
    path = save_errors(dataset, tmp_path / "errors.nc")
    with h5py.File(path, "r+") as file:
        file["errors"][:2] = file["errors"][:2][::-1]
    assert_refused(path)


def test_files_without_a_checksum_are_not_trusted(dataset, tmp_path):
    """Those of earlier versions, which xarray could not tell from damaged ones."""
    dataset.to_netcdf(tmp_path / "errors.nc", engine="h5netcdf")
    assert_refused(tmp_path / "errors.nc", "by an earlier version")


def test_files_that_are_missing_or_no_file_are_named(tmp_path):
    assert_refused(tmp_path / "errors.nc", "No such file")
    (tmp_path / "errors.nc").mkdir()
    assert_refused(tmp_path / "errors.nc", "Is a directory")


# Bytes that fit: of HDF5's first bytes, of all but the errors, of all but the end.
@pytest.mark.parametrize("room", [100, 3000, 12000])
def test_a_full_disk_names_the_file_and_leaves_the_earlier_one(tmp_path, room):
    """In a process of its own: HDF5 complains on its way out, too."""
    script = f"""
import resource, signal, sys
import numpy as np
from pathlib import Path
from meddiff.scoring.labelled_file import ImageSet
from meddiff.scoring.error_file import errors_file
from meddiff.errors import DiskError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
ids = [f"image {{i}}" for i in range(200)]
try:
    with errors_file(Path("errors.nc"), ImageSet(ids, np.zeros(200), ids, ["a", "b"]), 10, {{}}) as write:
        for i in range(200):
            write(i, np.zeros((1, 10, 2), np.float32), np.zeros((1, 10), np.float32))
except DiskError as error:
    sys.stdout.write(str(error))
"""
    (tmp_path / "errors.nc").write_text("earlier")
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    expected = r"errors\.nc: cannot be written: the file would be larger than is allowed .*run again"
    assert re.fullmatch(expected, done.stdout), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["errors.nc"]
    assert (tmp_path / "errors.nc").read_text() == "earlier"


@pytest.mark.parametrize(
    ("shards", "elements"), [(1, 1), (3, 1), (3, 2 * STEPS * 3), (3, 1 << 20), (IMAGES + 2, 4 * STEPS * 3)]
)
def test_shards_are_joined_in_parts(dataset, tmp_path, monkeypatch, shards, elements):
    monkeypatch.setattr(error_file, "_ELEMENTS_AT_ONCE", elements)
    gather_errors(split(dataset, tmp_path, shards)[::-1], ids(dataset), tmp_path / "all.nc")
    xr.testing.assert_identical(load_errors(tmp_path / "all.nc"), dataset)


def test_the_order_of_images_is_the_one_that_is_asked_for(dataset, tmp_path):
    order = np.random.default_rng(1).permutation(IMAGES)
    wanted = [ids(dataset)[i] for i in order]
    gather_errors(split(dataset, tmp_path, 2), wanted, tmp_path / "all.nc")
    xr.testing.assert_identical(load_errors(tmp_path / "all.nc"), dataset.isel(image=order))


def test_shards_of_different_cards_are_joined_and_named(dataset, tmp_path):
    halves = [dataset.isel(image=slice(i, None, 2)).assign_attrs(device=f"card {i}") for i in (0, 1)]
    parts = [save_errors(half, tmp_path / f"{i}.nc") for i, half in enumerate(halves)]
    gather_errors(parts, ids(dataset), tmp_path / "all.nc")
    joined = load_errors(tmp_path / "all.nc")
    assert joined.attrs["device"] == "card 0, card 1"
    np.testing.assert_array_equal(joined["errors"], dataset["errors"])


@pytest.mark.parametrize("what", ["weights_sha256", "steps", "classes"])
def test_shards_that_differ_are_not_joined(dataset, tmp_path, what):
    one, other = (dataset.isel(image=slice(i, None, 2)) for i in (0, 1))
    changed = {
        "weights_sha256": other.assign_attrs(weights_sha256="other"),
        "steps": other.isel(step=slice(2)),
        "classes": other.assign_coords({"class": ["none", "some", "other"]}),
    }[what]
    parts = [save_errors(one, tmp_path / "0.nc"), save_errors(changed, tmp_path / "1.nc")]
    with pytest.raises(DataError, match=rf"shards differ in \['{what}'\]"):
        gather_errors(parts, ids(dataset), tmp_path / "all.nc")
    assert not (tmp_path / "all.nc").exists()


def test_shards_must_be_a_partition(dataset, tmp_path):
    parts = split(dataset, tmp_path, 2)
    for wrong in (parts[:1], [*parts, parts[0]]):
        with pytest.raises(DataError, match=f"expected the {IMAGES} of the split, each once"):
            gather_errors(wrong, ids(dataset), tmp_path / "all.nc")
