"""Fixtures that several test folders use."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from workflow_samples import EVERYTHING, Project, copy_of, make_project

# The same examples in every run: a failure in CI is a failure here.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"{name} is not beside this checkout (../shared/{name}): nothing to compare with")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: quick ones fill the end of both processes evenly."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def official() -> Path:
    """Ground truth recorded from the authors' code."""
    return _shared("official")


@pytest.fixture(scope="session")
def nih_cxr() -> Path:
    """A thousand real chest X-rays."""
    return _shared("real/nih-cxr")


@pytest.fixture(scope="session")
def medmnist() -> Path:
    """PneumoniaMNIST and BreastMNIST as their owners ship them."""
    return _shared("real/medmnist")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Undo what `meddiff.signals.listen` sets, or pytest could not be stopped any more."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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
