"""What all tests of training share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from accelerate.state import AcceleratorState

from core_samples import write_store
from meddiff.data.stores.store import Store


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> tuple[Store, Store]:
    """Twenty images to train on and ten to validate on."""
    folder = write_store(tmp_path_factory.mktemp("store"))
    return Store.open(folder, "train"), Store.open(folder, "valid")


@pytest.fixture
def any_precision() -> Iterator[None]:
    """Lets a test train in mixed precision: accelerate keeps one precision for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
