"""What is wrong in a file is said before Snakemake deletes what was made with the right one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from workflow_samples import MODELS, Project

from meddiff.io import sha256_file

pytestmark = pytest.mark.slow


def made(project: Project) -> dict[str, str]:
    """Checksums of all results."""
    paths = sorted((project.folder / "results").glob("**/*"))
    return {str(p): sha256_file(p) for p in paths if p.is_file()}


def test_a_typo_in_the_architecture_keeps_the_weights(project):
    before = made(project)
    architecture = {**MODELS["small_dit"]["architecture"], "num_layerz": 2}
    project.edit_yaml("config/models/small_dit.yaml", architecture=architecture)
    text = project.snakemake(expect=1)
    assert "architecture refused by the library" in text and "num_layerz" in text
    assert "Traceback" not in text
    assert made(project) == before


@pytest.mark.parametrize(
    ("path", "changes", "reason"),
    [
        (
            "config/experiments/smallest.yaml",
            {"figures": {"uncertainty": {"colors": ["bluish"]}}},
            "no colour",
        ),
        ("config/models/small_unet.yaml", {"released": {"small_chest": "a;touch pwned;b"}}, "released"),
        ("config/models/small_unet.yaml", {"released": {"small_chest": "../../../escape"}}, "released"),
        ("config/datasets/small_chest.yaml", {"format": {"csv": "../../../escape/train.csv"}}, "format"),
    ],
)
def test_other_slips_stop_the_planning(project, path, changes, reason):
    before = made(project)
    project.edit_yaml(path, **changes)
    for arguments in ([], ["-n", "--config", "weights=official"]):
        text = project.snakemake(*arguments, expect=1)
        assert f"{path}: " in text and reason in text and "Traceback" not in text
    assert made(project) == before
    assert not (project.folder / "pwned").exists() and not list(project.folder.parent.glob("**/escape"))


def test_a_key_that_stands_twice_in_the_top_file(project):
    (project.folder / "config/config.yaml").write_text("experiment: other\nexperiment: smallest\n")
    assert "the key 'experiment' stands here a second time" in project.snakemake("-n", expect=1)


@pytest.mark.parametrize("place", ["results", "data", ".meddiff", "data/small_chest"])
def test_a_file_in_the_place_of_a_folder(clone, tmp_path, place):
    folder = tmp_path / "repository"
    shutil.copytree(clone.folder, folder, symlinks=True)
    for name in ("results", "data", ".meddiff"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).write_text("")
    text = Project(folder).snakemake("-n", expect=1)
    assert f"{place}: the workflow needs a folder here, but there is a file" in text
    assert "Traceback" not in text


def test_a_folder_with_a_name_that_shells_and_formats_read(clone, tmp_path):
    """A quote, a dollar and spaces in the path of the checkout."""
    folder = tmp_path / "my files $HOME it's; touch pwned" / "repository"
    shutil.copytree(clone.folder, folder, symlinks=True)
    project = Project(folder)
    project.snakemake("splits/small_chest/train.csv")
    assert (folder / "splits/small_chest/train.csv").is_file()
    assert not list(Path(tmp_path).glob("**/pwned"))


def test_a_folder_with_braces_in_its_name(clone, tmp_path):
    folder = tmp_path / "a{b}" / "repository"
    shutil.copytree(clone.folder, folder, symlinks=True)
    text = Project(folder).snakemake("-n", expect=1)
    assert "Snakemake reads braces in a path as wildcards" in text and "Traceback" not in text


def test_hostile_names_of_folders_of_the_users(clone, tmp_path):
    """`root_<dataset>` may name any folder; it is one word for the shell."""
    folder = tmp_path / "repository"
    shutil.copytree(clone.folder, folder, symlinks=True)
    document = yaml.safe_load((folder / "config/datasets/small_chest.yaml").read_text())
    document |= {"source": {"kind": "local"}}
    (folder / "config/datasets/small_chest.yaml").write_text(yaml.safe_dump(document))
    project = Project(folder, {"MEDDIFF_ROOT_SMALL_CHEST": "/nowhere; touch pwned; $(touch pwned)"})
    text = project.snakemake("splits/small_chest/train.csv", expect=1)
    assert "there is no folder /nowhere; touch pwned; $(touch pwned)" in text
    assert not list(Path(tmp_path).glob("**/pwned"))
