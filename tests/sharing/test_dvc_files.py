"""Tracking files with DVC."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from meddiff.errors import ReleaseError
from meddiff.sharing.dvc_files import DvcFiles

CHEST = Path("data/chest.dvc")


@pytest.fixture(autouse=True)
def repository(root, tmp_path, monkeypatch):
    """An empty repository under git and DVC with one store of images, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / ".dvc/tmp/site"))
    subprocess.run(["git", "init", "--quiet"], check=True)
    Path(".dvc").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".gitignore"):
        shutil.copy2(root / name, name)
    store(16)


def store(size: int) -> None:
    folder = Path(f"data/chest/store/{size}")
    folder.mkdir(parents=True)
    (folder / "train.npy").write_text(str(size))


def entries() -> dict[str, str]:
    return {out["path"]: out["md5"] for out in yaml.safe_load(CHEST.read_text())["outs"]}


def test_what_another_experiment_tracks_stays_also_where_it_is_not(tmp_path):
    DvcFiles().track(CHEST, "..", ["data/chest/store/16"], keep=True)
    before = entries()
    shutil.rmtree("data/chest")
    shutil.rmtree(".dvc/cache")
    store(32)
    DvcFiles().track(CHEST, "..", ["data/chest/store/32"], keep=True)
    assert entries().keys() == {"data/chest/store/16", "data/chest/store/32"}
    assert entries().items() > before.items()


def test_what_a_run_no_longer_has_is_dropped():
    store(32)
    DvcFiles().track(CHEST, "..", ["data/chest/store/16", "data/chest/store/32"], keep=False)
    DvcFiles().track(CHEST, "..", ["data/chest/store/16"], keep=False)
    assert entries().keys() == {"data/chest/store/16"}


def test_a_file_that_is_not_there_cannot_be_tracked():
    with pytest.raises(ReleaseError, match="store/64"):
        DvcFiles().track(CHEST, "..", ["data/chest/store/64"], keep=False)


def test_changed_content_is_found_and_removed():
    dvc = DvcFiles()
    dvc.track(CHEST, "..", ["data/chest/store/16"], keep=True)
    file = Path("data/chest/store/16/train.npy")
    dvc.check(["data/chest/store/16"])
    file.write_text("61")
    with pytest.raises(ReleaseError, match=r"train\.npy"):
        dvc.check(["data/chest/store/16"])
    assert not file.exists()
    assert not [
        cached for cached in Path(".dvc/cache").rglob("*") if cached.is_file() and cached.read_text() == "16"
    ]


def test_there_is_a_remote_or_not():
    assert not DvcFiles().has_remote()
    with open(".dvc/config", "a", encoding="utf-8") as config:
        config.write("    remote = there\n['remote \"there\"']\n    url = there\n")
    assert DvcFiles().has_remote()


def test_a_folder_without_dvc_is_named(tmp_path):
    shutil.rmtree(".dvc")
    with pytest.raises(ReleaseError, match="DVC"):
        DvcFiles()


def test_without_a_remote_only_what_the_cache_has_comes_back(tmp_path):
    DvcFiles().track(CHEST, "..", ["data/chest/store/16"], keep=False)
    shutil.rmtree("data/chest")
    DvcFiles().pull(["data/chest/store/16"], force=False)
    assert Path("data/chest/store/16/train.npy").read_text() == "16"
    shutil.rmtree("data/chest")
    shutil.rmtree(".dvc/cache")
    with pytest.raises(ReleaseError, match="no remote: `dvc remote add --default NAME URL`"):
        DvcFiles().pull(["data/chest/store/16"], force=False)
