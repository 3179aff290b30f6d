"""Copies of the finished run that every workflow test starts from (`finished` in tests/conftest.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from workflow_samples import Project, copy_of, make_project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished run, times and Snakemake's records included."""
    return copy_of(finished, tmp_path)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Project:
    """A copy of the repository in which nothing has run."""
    return make_project(tmp_path_factory.mktemp("clone") / "repository", root)
