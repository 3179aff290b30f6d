"""A second run in the same folder is told apart from one that was killed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from meddiff.provenance import SOURCE
from meddiff.sharing import running

HOLD = (
    "import sys; from meddiff.sharing.running import announce; announce(); print('here', flush=True); "
    "sys.stdin.read()"
)


@pytest.fixture
def other(tmp_path, monkeypatch):
    """Another process that works in the working folder, as if Snakemake had locked files."""
    monkeypatch.chdir(tmp_path)
    running.LOCKS.mkdir(parents=True)
    (running.LOCKS / "0.output.lock").write_text("a.csv\n")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(SOURCE.parent)},
        text=True,
    ) as process:
        assert process.stdout.readline() == "here\n"
        yield process
        process.kill()


def test_a_run_that_goes_on_is_named(other):
    text = running.advice()
    assert f"process {other.pid} on" in text and "Do not use --unlock" in text
    running.announce()
    assert running.others() == [text[text.index("(") + 1 : text.index(")")]]


def test_of_a_killed_run_nothing_is_left(other):
    other.kill()
    other.wait()
    assert running.advice() is None
    assert list(running.FOLDER.iterdir()) == []


def test_without_locks_there_is_nothing_to_say(other):
    for path in running.LOCKS.iterdir():
        path.unlink()
    assert running.advice() is None
