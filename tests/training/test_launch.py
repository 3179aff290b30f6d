"""``python -m meddiff train`` with several processes: signals reach them, exit codes come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core_samples import tiny_document, write_store
from meddiff.cli import main
from meddiff.errors import CheckpointError, ConfigError
from meddiff.models.checkpoint import load_state
from meddiff.training.launch import launch
from meddiff.training.state import STATE_FILE

# Long enough to be stopped twice before it ends.
MODEL = tiny_document("unet", train={"steps": 80, "epochs": None, "select": "last"})
DEADLINE_SECONDS = 300


def arguments(folder: Path, name: str, model: dict[str, Any], processes: int, save_minutes=10) -> list[str]:
    params = json.dumps({"model": model, "seed": 1})
    paths = ["--store", str(folder / "store"), "--out", str(folder / name)]
    compute = json.dumps({"processes": processes, "save_minutes": save_minutes})
    return ["train", "--params", params, *paths, "--threads", str(processes), "--compute", compute]


def begin(folder: Path, command: list[str]) -> subprocess.Popen[bytes]:
    """In a process group of its own, as a job of a cluster."""
    environment = {**os.environ, "MEDDIFF_STATE_DIR": str(folder / "state")}
    with open(folder / "log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "meddiff", *command], env=environment, stderr=log, start_new_session=True
        )


def finished_steps(folder: Path) -> int:
    found = list((folder / "state").rglob(STATE_FILE))
    for last in (False, False, True):
        try:
            return load_state(found[0]).values["step"] if found else 0
        except CheckpointError:  # safetensors opens it twice, and between the two it may have been replaced
            if last:
                raise


def wait_for_progress(process: subprocess.Popen[bytes], folder: Path) -> None:
    before, until = finished_steps(folder), time.monotonic() + DEADLINE_SECONDS
    while finished_steps(folder) < before + 3:
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < until, "no progress"
        time.sleep(0.05)


@pytest.mark.slow
def test_stopped_by_signals_and_finished_by_one_process(tmp_path, monkeypatch):
    write_store(tmp_path)
    for number, stop in ((signal.SIGUSR1, os.kill), (signal.SIGTERM, os.killpg)):
        process = begin(tmp_path, arguments(tmp_path, "out", MODEL, processes=2, save_minutes=0))
        wait_for_progress(process, tmp_path)
        stop(process.pid, number)  # the launcher alone, or everyone
        assert process.wait(DEADLINE_SECONDS) == 1, (tmp_path / "log").read_text()
        assert not (tmp_path / "out/model.safetensors").exists()
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)  # nobody is left
    log = (tmp_path / "log").read_text()
    assert "ended with exit code 1" in log  # by themselves, not of a signal
    assert log.count("resuming after step") == 1 and log.count("; run again to go on from there") == 4
    assert 6 <= finished_steps(tmp_path) < 80

    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))
    assert main(arguments(tmp_path, "out", MODEL, processes=1)) == 0
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "other state"))
    assert main(arguments(tmp_path, "straight", MODEL, processes=1)) == 0
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("out", "straight")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_an_error_in_the_processes_is_an_error(tmp_path):
    write_store(tmp_path)
    model = tiny_document("unet", train={"lr": 1e30, "warmup_steps": 0, "clip_grad_norm": 1e30})
    process = begin(tmp_path, arguments(tmp_path, "out", model, processes=2))
    assert process.wait(DEADLINE_SECONDS) == 1
    log = (tmp_path / "log").read_text()
    assert "the loss became NaN or infinite" in log
    assert "of 2 ended with exit code 1" in log


def test_more_processes_than_gpus_are_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"compute\.processes is 3, but 2 GPUs can be seen"):
        launch(["train"], 3, 1)
