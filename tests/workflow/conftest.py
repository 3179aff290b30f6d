"""A finished run of the smallest experiment, which every workflow test starts from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from workflow_samples import Project, make_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Project:
    """The smallest experiment, run once. Tests must not change it: they take a `project`."""
    project = make_project(tmp_path_factory.mktemp("finished") / "repository", root)
    project.snakemake()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished run, times and Snakemake's records included."""
    folder = tmp_path / "repository"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Project(folder)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Project:
    """A copy of the repository in which nothing has run."""
    return make_project(tmp_path_factory.mktemp("clone") / "repository", root)
