"""Fixtures that several test folders use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

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
