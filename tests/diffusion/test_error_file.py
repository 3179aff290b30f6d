"""The errors file: written and joined in parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from error_samples import make_errors, save_errors
from meddiff.diffusion import error_file
from meddiff.diffusion.error_file import gather_errors, load_errors
from meddiff.errors import DataError

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


def test_it_is_what_xarray_writes(dataset, tmp_path):
    """Files of earlier versions were written by xarray."""
    dataset.to_netcdf(tmp_path / "xarray.nc", engine="h5netcdf")
    save_errors(dataset, tmp_path / "errors.nc")
    xr.testing.assert_identical(load_errors(tmp_path / "xarray.nc"), load_errors(tmp_path / "errors.nc"))


def test_the_same_content_gives_the_same_bytes(dataset, tmp_path):
    one, other = (save_errors(dataset, tmp_path / name, rows) for name, rows in (("a", 2), ("b", 100)))
    assert one.read_bytes() == other.read_bytes()


def test_what_is_not_written_completely_is_not_there(dataset, tmp_path):
    path = tmp_path / "errors.nc"
    small = (dataset[name].values for name in ("image", "label", "group", "class"))
    with pytest.raises(KeyboardInterrupt), error_file.errors_file(path, *small, STEPS, {}) as write:
        write(0, dataset["errors"].values[:3], dataset["logsnr"].values[:3])
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", [b"", b"not netCDF", None])
def test_damaged_files_are_named(dataset, tmp_path, damage):
    path = save_errors(dataset, tmp_path / "errors.nc")
    if damage is None:
        dataset.drop_vars("group").to_netcdf(path, engine="h5netcdf")
    else:
        path.write_bytes(damage)
    with pytest.raises(DataError, match=r"errors\.nc: .*delete it and run again"):
        load_errors(path)
    with pytest.raises(DataError, match=r"errors\.nc: .*delete it and run again"):
        gather_errors([path], ids(dataset), tmp_path / "all.nc")


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
