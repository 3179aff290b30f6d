"""Fixtures that several test folders use."""

from __future__ import annotations

from pathlib import Path

import pytest

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
