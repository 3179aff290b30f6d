"""What all tests of training share."""

from __future__ import annotations

import pytest

from core_samples import write_store
from meddiff.data.store import Store


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> tuple[Store, Store]:
    """Twenty images to train on and ten to validate on."""
    folder = write_store(tmp_path_factory.mktemp("store"))
    return Store.open(folder, "train"), Store.open(folder, "valid")
