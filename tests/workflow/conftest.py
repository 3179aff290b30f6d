"""A finished run of the smallest experiment, which every workflow test starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
from workflow_samples import EVERYTHING, Project, copy_of, make_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Project:
    """The smallest experiment, run once. Tests must not change it: they take a `project`."""
    project = make_project(tmp_path_factory.mktemp("finished") / "repository", root)
    project.snakemake()
    return project


@pytest.fixture(scope="session")
def everything(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same with all that follows from the validation split and from evidence maps, run once."""
    project = copy_of(finished, tmp_path_factory.mktemp("everything"))
    project.edit_yaml("config/experiments/smallest.yaml", score=EVERYTHING)
    project.snakemake()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished run, times and Snakemake's records included."""
    return copy_of(finished, tmp_path)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Project:
    """A copy of the repository in which nothing has run."""
    return make_project(tmp_path_factory.mktemp("clone") / "repository", root)
