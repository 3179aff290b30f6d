"""A workflow's folder to begin in, and folders to begin with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from meddiff.starting.begin import begin
from meddiff.starting.draft import Wishes
from meddiff.starting.sizing import Device

CPU = Device(gpu=False, memory=8)

Begin = Callable[..., list[str]]


@pytest.fixture
def place(tmp_path: Path, root: Path) -> Path:
    """What `begin` needs of a checkout."""
    folder = tmp_path / "checkout"
    (folder / "config").mkdir(parents=True)
    for name in ("config.yaml", "published.yaml"):
        shutil.copy(root / "config" / name, folder / "config")
    for name in ("datasets", "models", "experiments"):
        (folder / "config" / name).mkdir()
    return folder


@pytest.fixture
def start(place: Path) -> Begin:
    """`begin` in that place, on a CPU: a folder, and what the user says about it."""

    def run(data: Path, name: str = "eyes", force: bool = False, **wishes: object) -> list[str]:
        return begin(data, name, Wishes(**wishes), "tiny", CPU, force, place)

    return run
