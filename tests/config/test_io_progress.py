"""Atomic files, checksums, and progress lines."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import logging
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meddiff import progress
from meddiff.io import atomic_path, read_json, sha256_file, sha256_json, write_json, write_text
from meddiff.progress import track

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def test_target_is_left_as_it_was_on_an_error(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("before")
    with pytest.raises(RuntimeError), atomic_path(target) as path:
        path.write_text("half")
        assert target.read_text() == "before"
        raise RuntimeError
    assert target.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_nothing_is_left_where_there_was_no_target(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "deep" / "a.txt"):
        raise RuntimeError
    assert list((tmp_path / "deep").iterdir()) == []


def test_target_is_replaced_whole_with_the_users_permissions(tmp_path):
    target = tmp_path / "deep" / "a.tar.gz"
    before = os.umask(0o027)
    try:
        with atomic_path(target) as path:
            assert path.parent == target.parent and path.suffix == ".gz" and path != target
            path.write_text("new")
            assert not target.exists()
    finally:
        os.umask(before)
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in target.parent.iterdir()] == ["a.tar.gz"]


_FILL_THE_DISK = """
import resource, sys
from pathlib import Path
import numpy, pandas, safetensors.numpy
from meddiff.errors import DiskError
from meddiff.io import atomic_path
numbers = numpy.random.default_rng(0).random(10_000)
writers = {
    "txt": lambda path: path.write_text("x" * 5000),
    "csv": lambda path: pandas.DataFrame({"a": numbers}).to_csv(path),
    "parquet": lambda path: pandas.DataFrame({"a": numbers}).to_parquet(path),
    "npy": lambda path: numpy.save(path, numbers),
    "npz": lambda path: numpy.savez(path, numbers),
    "safetensors": lambda path: safetensors.numpy.save_file({"a": numbers}, path),
}
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for suffix, write in writers.items():
    target = Path(sys.argv[1], f"file.{suffix}")
    target.write_text("before")
    try:
        with atomic_path(target) as path:
            write(path)
    except DiskError as error:
        print(str(error).partition(" (")[0])
"""


def test_every_writer_says_that_there_is_no_space(tmp_path):
    """In a process of its own, whose files may have 1,000 bytes."""
    command = [sys.executable, "-c", _FILL_THE_DISK, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    files = sorted(tmp_path.iterdir())
    assert [path.suffix for path in files] == [".csv", ".npy", ".npz", ".parquet", ".safetensors", ".txt"]
    assert all(path.read_text() == "before" for path in files)
    reasons = {str(path): "the file would be larger than is allowed" for path in files}
    reasons[str(tmp_path / "file.npy")] = "there is no space for all of it"
    assert sorted(done.stdout.splitlines()) == [
        f"{path}: cannot be written: {reason}" for path, reason in sorted(reasons.items())
    ]


def test_another_error_is_left_as_it_is(tmp_path):
    with pytest.raises(PermissionError), atomic_path(tmp_path / "a.txt"):
        raise PermissionError(13, "denied")


_WRITE = "import sys; from meddiff.io import atomic_path\nwith atomic_path(sys.argv[1]) as path: "


@pytest.mark.skipif(not os.path.exists("/proc/self/ns/pid"), reason="processes are told apart on Linux only")
def test_what_a_killed_process_left_is_removed_and_what_others_are_writing_is_not(tmp_path):
    killed = _WRITE + "import os; path.write_text('half'); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", killed, tmp_path / "a.csv"], check=False).returncode == -9
    (orphan,) = tmp_path.iterdir()
    writing = _WRITE + "path.write_text('whole'); print('started', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", writing, tmp_path / "a.csv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"started\n" and not orphan.exists()
        (theirs,) = tmp_path.iterdir()
        write_text(tmp_path / "a-b.csv", "mine")
        assert theirs.exists()
        other.stdin.close()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.csv": "whole", "a-b.csv": "mine"}


def test_durable_files_are_on_the_disk_before_they_have_their_name(tmp_path, monkeypatch):
    events, target = [], tmp_path / "a.txt"
    flush = os.fsync

    def watched(handle: int) -> None:
        events.append((os.readlink(f"/proc/self/fd/{handle}"), target.exists()))
        flush(handle)

    monkeypatch.setattr(os, "fsync", watched)
    with atomic_path(target, durable=True) as path:
        path.write_text("new")
    assert events == [(str(path), False), (str(tmp_path), True)]
    with atomic_path(target) as path:
        path.write_text("newer")
    assert len(events) == 2


def test_text_and_json(tmp_path):
    write_text(tmp_path / "a", "σ\n")
    assert (tmp_path / "a").read_bytes() == "σ\n".encode()
    write_json(tmp_path / "b", {"z": 1, "a": [1.5, None]})
    assert read_json(tmp_path / "b") == {"a": [1.5, None], "z": 1}
    assert (tmp_path / "b").read_text().startswith('{\n "a"')


@given(value=JSON)
def test_hash_of_json_is_of_its_content(value):
    again = json.loads(json.dumps(value))
    assert sha256_json(value) == sha256_json(again)
    assert sha256_json([value]) != sha256_json(value)
    assert sha256_json({"a": value, "b": 1}) == sha256_json({"b": 1, "a": value})


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_hash_of_a_file_at_the_edges_of_a_block(tmp_path, size):
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "f").write_bytes(data[:size])
    assert sha256_file(tmp_path / "f") == hashlib.sha256(data[:size]).hexdigest()


@pytest.fixture
def lines(monkeypatch, caplog) -> list[str]:
    """What `track` logs, with a clock that goes on four seconds a look."""
    clock = iter(range(0, 10_000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO, "meddiff")
    return caplog.messages


def test_progress_in_a_log_is_a_line_now_and_then_and_one_at_the_end(lines, caplog):
    assert list(track(range(7), "scoring")) == list(range(7))
    assert caplog.messages == [
        "scoring 3/7 (0.25/s, 16 s left)",
        "scoring 6/7 (0.25/s, 4 s left)",
        "scoring 7/7 (0.25/s, 0 s left)",
    ]


@pytest.mark.parametrize(("total", "left"), [(30, "108 s"), (100, "6 min"), (3000, "3.3 h")])
def test_the_time_that_is_left_has_a_unit_that_is_read_well(lines, caplog, total, left):
    next(itertools.islice(track(range(total), "storing"), 3, None))
    assert caplog.messages == [f"storing 3/{total} (0.25/s, {left} left)"]


def test_progress_of_a_resumed_run_counts_what_was_done(lines, caplog):
    assert list(track(range(5, 7), "training", total=7, initial=5)) == [5, 6]
    assert caplog.messages == ["training 7/7 (0.25/s, 0 s left)"]


def test_progress_without_a_known_end(lines, caplog):
    assert list(track(iter("abc"), "reading")) == ["a", "b", "c"]
    assert caplog.messages == ["reading 3 (0.25/s)"]


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(track([1, 2], "scoring")) == [1, 2]
    assert "scoring" in terminal.getvalue() and "2/2" in terminal.getvalue()
