"""Folders of resume states that cannot be used: the message says so, and nothing comes over it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core_samples import write_store
from meddiff.cli import main
from meddiff.errors import CheckpointError, Interrupted
from meddiff.state_folder import LOCK, reserved
from scoring_samples import write_unet


def test_a_file_in_its_place(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(CheckpointError, match=r"file/state: .*cannot be written there.*MEDDIFF_STATE_DIR"),
        reserved(tmp_path / "file/state", lambda: True),
    ):
        pass


def test_a_disk_that_takes_nothing(tmp_path):
    (tmp_path / LOCK).symlink_to("/dev/full")
    with (
        pytest.raises(CheckpointError, match=rf"{tmp_path}: .*cannot be written there"),
        reserved(tmp_path, bool),
    ):
        pass


def test_a_lock_that_does_not_say_whose_it_is(tmp_path, caplog):
    """Of a process that was killed while it wrote, on a machine with another encoding."""
    hold = f"import fcntl; f = open({str(tmp_path / LOCK)!r}, 'a+b'); fcntl.flock(f, fcntl.LOCK_EX); "
    other = subprocess.Popen(
        [sys.executable, "-c", hold + "f.write(b'\\xff'); f.flush(); print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    other.stdout.readline()
    with pytest.raises(Interrupted), reserved(tmp_path, lambda: True):
        pass
    other.communicate(b"\n")
    assert "another run does the same (\ufffd); waiting for it" in caplog.text


def test_the_message_is_the_last_word_of_a_command(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDDIFF_STATE_DIR", "file/state")
    Path("file").touch()
    Path("weights").mkdir()
    write_unet(Path("weights"))
    images = write_store(Path("data"), {"train": 2, "valid": 2, "test": 2})
    params = json.dumps({"seed": 0, "steps": 1, "noise_levels": "uniform", "precision": "fp32"})
    command = ["score", "--params", params, "--weights", "weights", "--store", str(images)]
    assert main([*command, "--out", "errors.nc"]) == 1
    assert "resume states cannot be written there (Not a directory)" in caplog.records[-1].message
    assert "the time of this attempt cannot be kept" in caplog.text
