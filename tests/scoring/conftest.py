"""Images, a network and their errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

from core_samples import write_store
from scoring_samples import IMAGES, run, watch_passes, write_unet


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `IMAGES` test images."""
    return write_store(tmp_path_factory.mktemp("store"), {"train": 2, "valid": 2, "test": IMAGES})


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained UNet for `store`."""
    return write_unet(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def reference(weights: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """Errors of the test split at four steps."""
    return run(weights, store, tmp_path_factory.mktemp("reference"), steps=4)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Network inputs of every pass of a UNet."""
    sizes: list[int] = []
    watch_passes(monkeypatch, sizes.append)
    return sizes
