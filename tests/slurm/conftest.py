"""Throwaway clusters, and the small experiment as the local executor runs it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster, missing
from slurm_runs import make_cluster_project
from workflow_samples import Project


def _started(folder: Path, accounting: bool) -> Iterator[Cluster]:
    reason = missing(accounting)
    if reason:
        pytest.skip(reason)
    cluster = Cluster(folder, accounting)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster without a job database: only squeue works."""
    yield from _started(tmp_path_factory.mktemp("cluster"), accounting=False)


@pytest.fixture(scope="module")
def accounting_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with a job database: sacct works."""
    yield from _started(tmp_path_factory.mktemp("cluster"), accounting=True)


@pytest.fixture(scope="session")
def possible() -> None:
    """Skip before anything is run where no cluster can be started."""
    reason = missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def prepared(possible: None, tmp_path_factory: pytest.TempPathFactory, root: Path) -> Project:
    """The experiment with its images prepared, which is the same everywhere. Tests must not change it."""
    project = make_cluster_project(tmp_path_factory.mktemp("prepared") / "repository", root)
    project.snakemake("datasets")
    return project


@pytest.fixture(scope="session")
def local(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The experiment as the local executor finishes it. Tests must not change it."""
    folder = tmp_path_factory.mktemp("local") / "repository"
    shutil.copytree(prepared.folder, folder, symlinks=True)
    project = Project(folder, {"OMP_NUM_THREADS": "1"})
    project.snakemake("results/cluster/tables/metrics.csv")
    return project
