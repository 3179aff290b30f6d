"""What Snakemake says about the working folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from meddiff.errors import ReleaseError
from meddiff.sharing.workflow_state import check_idle


def test_a_running_snakemake_is_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_idle()
    locks = Path(".snakemake/locks")
    locks.mkdir(parents=True)
    check_idle()
    (locks / "0.output.lock").touch()
    with pytest.raises(ReleaseError, match="unlock"):
        check_idle()
