"""Finding, fetching and recording the authors' released weights, with Google Drive replaced."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import gdown
import pytest
import yaml
from gdown.exceptions import DownloadError
from hypothesis import given
from hypothesis import strategies as st

from meddiff.errors import CheckpointError, ConfigError
from meddiff.io import read_json
from meddiff.weights.released import (
    RELEASES,
    fetch_released,
    find_files,
    find_release,
    importer_module,
    list_released,
    verified_files,
)
from weight_samples import small_weights

UNET = ("model_1.safetensors", "model_2.safetensors")
DRIVE = {
    "isic-256-checkpoints/isic-unet-dwt/model.safetensors": small_weights("online"),
    "isic-256-checkpoints/isic-unet-dwt/model_1.safetensors": small_weights("average"),
    "isic-256-checkpoints/isic-unet-dwt/model_2.safetensors": small_weights("embedding"),
    "isic-256-checkpoints/isic-unet-dwt/optimizer.bin": b"pickle",
    "isic-256-checkpoints/isic-unet-dwt/random_states_0.pkl": b"pickle",
    "isic-classifier/best_checkpoint_resnet18/model.safetensors": small_weights("skin"),
    "chexpert-classifier/best_checkpoint_resnet18/model.safetensors": small_weights("chest"),
}
RESNET = "isic-classifier/best_checkpoint_resnet18"


class Drive:
    """Google Drive as gdown shows it: file ids are the paths' hashes."""

    def __init__(self) -> None:
        self.files, self.downloaded, self.broken = dict(DRIVE), [], False

    def list(self, **arguments: object) -> list[SimpleNamespace]:
        assert arguments["skip_download"] and arguments["id"] == "folder"
        return [SimpleNamespace(path=path, id=self.id(path)) for path in self.files]

    def download(self, *, id: str, output: str, resume: bool, **arguments: object) -> str:
        if self.broken:
            raise DownloadError("too many accesses")
        assert resume
        path = next(path for path in self.files if self.id(path) == id)
        if not Path(output).exists():
            Path(output).write_bytes(self.files[path])
            self.downloaded.append(path)
        return output

    @staticmethod
    def id(path: str) -> str:
        return hashlib.md5(path.encode()).hexdigest()


@pytest.fixture
def drive(monkeypatch) -> Drive:
    drive = Drive()
    monkeypatch.setattr(gdown, "download_folder", drive.list)
    monkeypatch.setattr(gdown, "download", drive.download)
    return drive


def fetch(
    place: Path, kind: str, release: str, folder: Path | None = None, manifest: str = "manifest.json"
) -> Path:
    """List and fetch, as the two rules do."""
    if not (place / "listing.json").exists():
        list_released("folder", folder, place / "listing.json")
    path = place / manifest
    fetch_released(
        kind, release, place / "listing.json", folder, place / "files", place / "record.json", path
    )
    return path


def copy_of_drive(folder: Path) -> Path:
    for path, content in DRIVE.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def test_only_what_is_needed_is_downloaded(drive, tmp_path):
    release = "isic-256-checkpoints/isic-unet-dwt"
    manifest = read_json(fetch(tmp_path, "unet", release))
    assert sorted(drive.downloaded) == [f"{release}/{name}" for name in UNET]
    average = small_weights("average")
    sha256 = hashlib.sha256(average).hexdigest()
    assert manifest["release"] == release and set(manifest["files"]) == set(UNET)
    assert manifest["files"]["model_1.safetensors"] == {"size": len(average), "sha256": sha256}
    found = verified_files(tmp_path / "files", "unet", release, tmp_path / "manifest.json")
    assert found == tmp_path / "files" / release


def test_download_and_own_folder_give_the_same_manifest(drive, tmp_path):
    mine = copy_of_drive(tmp_path / "mine")
    downloaded = fetch(tmp_path / "a", "timm", RESNET).read_bytes()
    assert fetch(tmp_path / "b", "timm", RESNET, mine).read_bytes() == downloaded
    assert b"tmp" not in downloaded
    assert drive.downloaded == [f"{RESNET}/model.safetensors"]
    assert not (tmp_path / "b" / "files").exists()


def test_fetching_again_checks_against_the_first_time(drive, tmp_path):
    manifest = fetch(tmp_path, "timm", RESNET)
    before = manifest.read_bytes()
    manifest.unlink()
    assert fetch(tmp_path, "timm", RESNET).read_bytes() == before
    assert len(drive.downloaded) == 1  # what is there is not downloaded again
    path = tmp_path / "files" / RESNET / "model.safetensors"
    path.unlink()
    drive.files[f"{RESNET}/model.safetensors"] = small_weights("something else")
    with pytest.raises(CheckpointError, match=r"resnet18/model\.safetensors: expected \d+ bytes.*, got"):
        fetch(tmp_path, "timm", RESNET)
    path.write_bytes(skim := small_weights("skim"))  # same size
    with pytest.raises(CheckpointError, match="SHA-256 " + hashlib.sha256(skim).hexdigest()):
        fetch(tmp_path, "timm", RESNET)


@pytest.mark.parametrize("damaged", [small_weights("skin")[:-1], b"<html>too many accesses</html>"])
def test_a_damaged_download_is_not_recorded(drive, tmp_path, damaged):
    """Or the good file would be refused ever after."""
    good = drive.files[f"{RESNET}/model.safetensors"]
    drive.files[f"{RESNET}/model.safetensors"] = damaged
    with pytest.raises(CheckpointError, match=r"model\.safetensors: is damaged: .*; delete it and fetch it"):
        fetch(tmp_path, "timm", RESNET)
    assert not (tmp_path / "record.json").exists() and not (tmp_path / "manifest.json").exists()
    (tmp_path / "files" / RESNET / "model.safetensors").unlink()
    drive.files[f"{RESNET}/model.safetensors"] = good
    fetch(tmp_path, "timm", RESNET)


def test_a_pipe_among_the_weights_is_not_opened(tmp_path):
    mine = copy_of_drive(tmp_path / "mine")
    path = mine / RESNET / "model.safetensors"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: .*is a named pipe and no regular file"):
        fetch(tmp_path, "timm", RESNET, mine)


def test_google_drive_refuses(drive, tmp_path):
    drive.broken = True
    with pytest.raises(CheckpointError) as caught:
        fetch(tmp_path, "timm", RESNET)
    text = str(caught.value)
    assert f"{RESNET}/model.safetensors" in text and "too many accesses" in text
    assert "--config official_weights=PATH" in text
    assert not (tmp_path / "manifest.json").exists() and not (tmp_path / "record.json").exists()
    drive.broken = False
    fetch(tmp_path, "timm", RESNET)


def test_listing_of_an_own_folder_cannot_be_downloaded_from(drive, tmp_path):
    list_released("folder", copy_of_drive(tmp_path / "mine"), tmp_path / "listing.json")
    with pytest.raises(CheckpointError, match=r"listing\.json: was made from a folder of yours"):
        fetch(tmp_path, "timm", RESNET)


def test_missing_folder_or_files(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere: no such folder; it was named as official_weights"):
        fetch(tmp_path, "timm", RESNET, tmp_path / "nowhere")
    mine = copy_of_drive(tmp_path / "mine")
    with pytest.raises(CheckpointError, match="mine: no folder isic-256-checkpoints/other with model_1"):
        find_files(mine, "unet", "isic-256-checkpoints/other")
    (mine / "isic-256-checkpoints/isic-unet-dwt/model_2.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"isic-unet-dwt is there, without all of them"):
        find_files(mine, "unet", "isic-256-checkpoints/isic-unet-dwt")


@pytest.mark.parametrize("part", ["", "isic-classifier", RESNET])
def test_the_named_folder_may_be_a_part_of_the_release(tmp_path, part):
    mine = copy_of_drive(tmp_path / "mine")
    assert find_files(mine / part, "timm", RESNET)["model.safetensors"].read_bytes() == small_weights("skin")


names = st.sampled_from(["weights", "x", "best_checkpoint", "2025"])


parts = st.lists(names, max_size=2)


@given(before=parts, between=parts, after=parts)
def test_a_release_is_found_wherever_it_lies(before, between, after):
    own = [*before, "isic-classifier", *between, "best_checkpoint_resnet18", *after]
    other = [*before, "chexpert-classifier", *between, "best_checkpoint_resnet18", *after]
    paths = ["/".join([*parts, "model.safetensors"]) for parts in (other, own)]
    assert find_release(paths, "timm", RESNET, "here") == {"model.safetensors": paths[1]}


def test_nearest_folder_then_the_best_checkpoint_then_an_error():
    def found(*folders: str) -> str:
        paths = [f"{folder}/model_1.safetensors" for folder in folders]
        return find_release(paths, "dit", "isic-dit", "here")["model_1.safetensors"].rpartition("/")[0]

    assert found("isic-dit/checkpoints", "isic-dit") == "isic-dit"
    assert found("isic-dit/checkpoints", "isic-dit/best_checkpoint") == "isic-dit/best_checkpoint"
    with pytest.raises(CheckpointError, match="isic-dit may be any of isic-dit/a, isic-dit/b"):
        found("isic-dit/a", "isic-dit/b")


def test_no_kind_asks_for_a_pickle():
    for release in RELEASES.values():
        assert all(
            name.endswith((".safetensors", ".json", ".txt")) for name in (*release.files, *release.optional)
        )


def test_a_kind_without_released_weights_is_named():
    with pytest.raises(ConfigError, match=r"of kind 'convnet' cannot be taken.*it does for unet, dit"):
        importer_module("convnet")


def test_every_shipped_release_is_one_of_the_published_folders(root):
    """Spec section 10; each folder belongs to one model and dataset."""
    found = {}
    for path in (root / "config" / "models").glob("*.yaml"):
        document = yaml.safe_load(path.read_text())
        if document["kind"] in ("timm", "unet", "dit"):
            found |= {
                (path.stem, dataset): folder for dataset, folder in document.get("released", {}).items()
            }
    assert len(found) == len(set(found.values())) == 18
    diffusion = {
        "isic-256-checkpoints/isic-unet-dwt",
        "isic-256-checkpoints/isic-dit-b4-dwt",
        "chexpert-256-checkpoints/chexpert-unet-256-dwt-healthysick",
        "chexpert-256-checkpoints/chexpert-256-dit-b4-dwt",
    }
    for (model, dataset), folder in found.items():
        assert folder.startswith(dataset)
        assert folder in diffusion or folder == f"{dataset}-classifier/best_checkpoint_{model}"
