"""What all tests of the diffusion classifier share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import xarray as xr
from scoring_samples import IMAGES, run, watch_passes, write_unet

from core_samples import write_store


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
