"""Training in a process of its own that is stopped and killed, as on a cluster."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core_samples import tiny_document, write_store
from meddiff.checkpoint import load_state
from meddiff.cli import main
from meddiff.train import STATE_FILE

MODEL = tiny_document("timm", train={"epochs": 30, "validate_every": 7})
STEPS = 30 * 3
DEADLINE_SECONDS = 120


def arguments(folder: Path, out: Path) -> list[str]:
    params = json.dumps({"model": MODEL, "seed": 1})
    paths = ["--store", str(folder / "store"), "--out", str(out)]
    return ["--params", params, *paths, "--save-minutes", "0", "--threads", "1"]


def start(folder: Path, state: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "meddiff", "train", *arguments(folder, out)]
    environment = {**os.environ, "MEDDIFF_STATE_DIR": str(state)}
    with open(folder / "log", "ab") as log:
        return subprocess.Popen(command, env=environment, stderr=log)


def finished_steps(state: Path) -> int:
    found = list(state.rglob(STATE_FILE))
    return load_state(found[0]).values["step"] if found else 0


def wait_for_progress(process: subprocess.Popen[bytes], state: Path, more: int) -> int:
    """Wait until `more` further steps are saved; the number of finished steps."""
    before, until = finished_steps(state), time.monotonic() + DEADLINE_SECONDS
    while (done := finished_steps(state)) < before + more:
        assert process.poll() is None, "training ended too early"
        assert time.monotonic() < until, "no progress"
        time.sleep(0.05)
    return done


@pytest.mark.slow
def test_stopped_and_killed_training_ends_with_the_same_bytes(tmp_path, monkeypatch):
    write_store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "straight state"))
        assert main(["train", *arguments(tmp_path, tmp_path / "straight")]) == 0

    state, out, rng = tmp_path / "state", tmp_path / "out", random.Random(0)
    progress = [0]
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        process = start(tmp_path, state, out)
        wait_for_progress(process, state, more=rng.randint(1, 20))
        time.sleep(rng.uniform(0, 0.05))  # any moment, also while the state is written
        process.send_signal(number)
        code = process.wait(DEADLINE_SECONDS)
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else 1)
        progress.append(finished_steps(state))
        assert not out.exists()
    assert progress == sorted(set(progress)) and progress[-1] < STEPS
    log = (tmp_path / "log").read_text()
    assert log.count("resuming after step") == 2 and "run again to go on from there" in log
    assert "Traceback" not in log

    assert start(tmp_path, state, out).wait(DEADLINE_SECONDS) == 0
    for name in ("model.safetensors", "config.yaml"):
        assert (out / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    records = [json.loads((folder / "run.json").read_text()) for folder in (out, tmp_path / "straight")]
    assert records[0].pop("hours") > 0 and records[1].pop("hours") > 0
    assert records[0] == records[1]
