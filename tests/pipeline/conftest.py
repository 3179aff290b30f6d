"""Experiments of this repository, also with something edited in their files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from meddiff.config import Config
from meddiff.config.load import load_dataset, load_model
from meddiff.pipeline.experiment import Experiment

Edited = Callable[..., Experiment]


@pytest.fixture(scope="session")
def experiment(root: Path) -> Callable[..., Experiment]:
    """Experiment by name, with further entries of ``--config``."""
    return lambda name, **entries: Experiment(Config({"experiment": name, **entries}, root / "config"))


@pytest.fixture()
def edited(root: Path, tmp_path: Path) -> Edited:
    """The same after a text in one file of the configuration was replaced."""

    def of(name: str, file: str, old: str, new: str) -> Experiment:
        folder = tmp_path / "config"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(root / "config", folder)
        text = (folder / file).read_text()
        assert old in text, f"{file} has no {old!r} any more"
        (folder / file).write_text(text.replace(old, new, 1))
        load_model.cache_clear()
        load_dataset.cache_clear()
        return Experiment(Config({"experiment": name}, folder))

    return of
