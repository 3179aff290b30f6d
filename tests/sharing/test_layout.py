"""Which file of a run goes where."""

from __future__ import annotations

from pathlib import Path

import pytest

from meddiff.config import Config
from meddiff.errors import ReleaseError
from meddiff.sharing.layout import layout_of


@pytest.fixture
def config(root, tmp_path, monkeypatch):
    """The project's demo, seen from an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Config({"experiment": "demo"}, root / "config")


def touch(*paths):
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


RUN = "results/demo/phantom_chest/tiny_unet/seed0"


def test_a_run_is_one_file_with_all_that_is_in_its_folder(config):
    """Shards are gone when they are joined; the records of how they were made stay."""
    touch(f"{RUN}/weights/model.safetensors", f"{RUN}/counterfactuals/measures.csv")
    touch(f"{RUN}/weights/kept/0123456789abcdef/model.safetensors")
    for votes in ("votes0", "votes12"):
        touch(f"{RUN}/{votes}/errors.nc", f"{RUN}/{votes}/predictions/mean.csv")
        touch(f"{RUN}/{votes}/evidence.nc")
        touch(f"{RUN}/{votes}/provenance/errors.nc.json", f"{RUN}/{votes}/shards/1-of-2.nc")
        touch(f"{RUN}/{votes}/shards/provenance/1-of-2.nc.json", f"{RUN}/{votes}/errors_valid.nc")
        touch(f"{RUN}/{votes}/shards_valid/1-of-2.nc")
    there = "tested_on/phantom_clinic"
    touch(f"{RUN}/{there}/votes0/errors.nc", f"{RUN}/{there}/scores/test/softmax.csv")
    outputs = [f"{RUN}/weights/model.safetensors", f"{RUN}/votes12/predictions/mean.csv"]
    layout = layout_of(config, outputs)
    file = layout.dvc_files[Path(f"{RUN}.dvc")]
    of_votes = ("errors.nc", "errors_valid.nc", "evidence.nc", "provenance", "shards/provenance")
    errors = [f"{votes}/{name}" for votes in ("votes0", "votes12") for name in of_votes]
    errors.insert(0, f"{there}/votes0/errors.nc")
    results = ["counterfactuals", "votes0/predictions", "votes12/predictions", f"{there}/scores"]
    expected = [*errors, *results, "weights/model.safetensors"]
    assert file.outs() == sorted(f"seed0/{name}" for name in expected)
    tracked = layout.tracked()
    assert tracked["weights"] == [f"{RUN}/weights/model.safetensors"]
    assert tracked["errors"] == [f"{RUN}/{name}" for name in errors]
    assert set(tracked["results"]) == {*(f"{RUN}/{name}" for name in results), "results/demo/records.zip"}


def test_a_dataset_is_one_file_with_images_splits_and_stores(config):
    touch("data/phantom_chest/raw/a.jpg", "data/phantom_chest/provenance/raw.json.json")
    outputs = [f"data/phantom_chest/{name}" for name in ("raw.json", "table.csv", "store/32/train.npy")]
    layout = layout_of(config, [*outputs, "splits/phantom_chest/train.csv"])
    file = layout.dvc_files[Path("data/phantom_chest.dvc")]
    assert file.shared
    assert file.outs() == [
        *(
            f"data/phantom_chest/{name}"
            for name in ("provenance", "raw", "raw.json", "store/32", "table.csv")
        ),
        "splits/phantom_chest",
    ]


def test_tables_and_figures_go_into_git(config):
    touch("results/demo/tables/provenance/metrics.csv.json", f"{RUN}/predictions/provenance/mean.csv.json")
    layout = layout_of(config, ["results/demo/tables/metrics.csv", "results/demo/metrics.json"])
    assert layout.git == {
        *("results/demo/tables/metrics.csv", "results/demo/metrics.json"),
        "results/demo/tables/provenance/metrics.csv.json",
    }


def test_the_report_is_one_folder_in_dvc(config):
    """Its pictures are in git as figures; a page of megabytes would be there once more with every release."""
    touch("results/demo/report/index.html", "results/demo/report/provenance/index.html.json")
    layout = layout_of(config, ["results/demo/report/index.html", "results/demo/report/cases/a.js"])
    assert layout.git == set()
    assert layout.dvc_files[Path("results/demo/report.dvc")].outs() == ["report"]
    assert "results/demo/report" in layout.tracked()["results"]


def test_pretrained_weights_have_files_of_their_own(config):
    layout = layout_of(config, ["data/pretrained/tiny/manifest.json"])
    assert layout.dvc_files[Path("data/pretrained/tiny.dvc")].outs() == ["tiny"]


@pytest.mark.parametrize("top", [{}, {"root_nih_cxr": "data/mine"}])
def test_images_of_the_user_are_left_out(root, tmp_path, monkeypatch, top):
    monkeypatch.chdir(tmp_path)
    config = Config({"experiment": "nih_cxr", **top}, root / "config")
    touch("data/nih_cxr/local/a.png", "data/mine/a.png")
    layout = layout_of(config, ["data/nih_cxr/raw.json"])
    assert layout.tracked()["data"] == ["data/nih_cxr/raw.json"]


def test_images_of_a_downloaded_package_are_kept(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config({"experiment": "paper"}, root / "config")
    images = config.places.root("chexpert")
    touch(f"{images}/a.jpg")
    assert images in layout_of(config, []).tracked()["data"]
    named = Config({"experiment": "paper", "root_chexpert": images}, root / "config")
    assert images not in layout_of(named, []).tracked()["data"]


def test_an_output_without_a_place_is_an_error(config):
    with pytest.raises(ReleaseError, match=r"somewhere/else\.csv"):
        layout_of(config, ["somewhere/else.csv"])
