"""What all tests of training share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import torch

from core_samples import write_store
from meddiff.data.store import Store


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


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> tuple[Store, Store]:
    """Twenty images to train on and ten to validate on."""
    folder = write_store(tmp_path_factory.mktemp("store"))
    return Store.open(folder, "train"), Store.open(folder, "valid")
