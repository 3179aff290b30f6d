"""What git keeps, and that DVC reads `.gitignore` as git does, or it would not find its files."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from scmrepo.git import Git

RUN = "results/demo/chest/unet/seed0"
KEPT = [
    *("data/chest.dvc", "data/pretrained/sd.dvc", "data/official.dvc", f"{RUN}.dvc"),
    *("results/demo/records.zip.dvc", "results/demo/release.json", "results/demo/metrics.json"),
    *("results/demo/dvc.yaml", "results/demo/dvc.lock", "results/demo/tables/metrics.csv"),
    *("results/demo/figures/method.png", "results/demo/tables/provenance/metrics.csv.json"),
    *("results/demo/provenance/metrics.json.json", "results/demo/report.dvc"),
    # Folders that DVC goes through.
    *(
        "data/",
        "data/pretrained/",
        "results/",
        "results/demo/",
        "results/demo/chest/",
        "results/demo/chest/unet/",
    ),
]
IGNORED = [
    *("data/chest/raw.json", "data/chest/store/32/", "data/chest/raw/a.jpg", "data/pretrained/sd/model.bin"),
    *("data/packages/x/archive.zip", "data/official/listing.json", "splits/chest/train.csv"),
    *(f"{RUN}/weights", f"{RUN}/errors.nc", f"{RUN}/provenance/errors.nc.json", "results/demo/records.zip"),
    "results/demo/report/",
]


@pytest.fixture(scope="module")
def repository(root, tmp_path_factory):
    """An empty repository with the project's .gitignore."""
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    shutil.copy2(root / ".gitignore", folder)
    return folder


@pytest.mark.parametrize(("path", "ignored"), [*((p, False) for p in KEPT), *((p, True) for p in IGNORED)])
def test_git_and_dvc_agree(repository, path, ignored):
    git = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=repository, check=False)
    with_slash = str(repository / path) + ("/" if path.endswith("/") else "")
    assert (git.returncode == 0) is ignored
    assert Git(str(repository)).is_ignored(with_slash) is ignored
