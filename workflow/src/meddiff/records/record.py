"""The record of one job: what its outputs were made from, on what, and how long it took.

A record is a JSON file ``provenance/<name>.json`` in the folder of each output. It holds times and devices,
so it is no output of a rule: results stay the same bytes from run to run, and what Snakemake tracks does not
change with them. A declared record would also make every result stale that was made before records were kept.
A job that makes its results again writes their records again; a record that outlives its result has a
checksum that no longer fits.
"""

from __future__ import annotations

import datetime
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meddiff.io import read_json, sha256_file, sha256_json, write_json
from meddiff.provenance import code_hashes, environment
from meddiff.records.files import Files

log = logging.getLogger("meddiff")

FOLDER = "provenance"
FORMAT_VERSION = 1
_SECONDS_BETWEEN_NOTES = 60.0


def record_path(output: Path) -> Path:
    """Where the record of a result lies."""
    return output.parent / FOLDER / f"{output.name}.json"


def read_record(output: Path) -> dict[str, Any] | None:
    """The record of a result; None where there is none that can be read."""
    try:
        record = read_json(record_path(output))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT_VERSION else None


def digest(path: Path) -> str | None:
    """SHA-256 of a file, or of the names and checksums of a folder's files; None where nothing is."""
    if path.is_dir():
        # Snakemake leaves a hidden file with the time in the folders that rules make.
        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        return sha256_json({p.relative_to(path).as_posix(): sha256_file(p) for p in files})
    return sha256_file(path) if path.is_file() else None


def code_record(modules: Sequence[str]) -> dict[str, Any]:
    """The modules that define a result, and the checksums of all files that they use of this package."""
    files = code_hashes(modules)
    return {"modules": sorted(modules), "files": files, "sha256": sha256_json(files)}


@contextmanager
def recorded(command: str, files: Files, params: Any, state_root: Path, processes: int = 1) -> Iterator[None]:
    """Run a command's work in the block and write the records of its outputs, if the block succeeds.

    Args:
        command: name of the command.
        files: what it reads and writes.
        params: value of its ``--params``.
        state_root: where the time of an attempt that is stopped is kept.
        processes: how many run this command together, with one GPU each.
    """
    settings = {"params": params, **files.settings}
    made_from = {
        "command": command,
        "settings": settings,
        "settings_sha256": sha256_json(settings),
        # Before the work: afterwards a file may have been edited already.
        "inputs": {_name(path): {"sha256": digest(path)} for path in files.inputs},
        "code": code_record(files.code or ()),
    }
    names = [_name(path) for path in files.outputs]
    key = sha256_json({**made_from, "outputs": names})[:16]
    note = state_root / "attempts" / f"{key}.json" if files.resumes else None
    with _clock(note) as elapsed:
        yield
    seconds, attempts = elapsed()
    device = _device()
    record = {
        "format": FORMAT_VERSION,
        **made_from,
        "outputs": {
            _name(path): {"sha256": digest(path), "bytes": _size(path)}
            for path in files.outputs
            if path.exists()
        },
        **environment(),
        "device": device,
        "processes": processes,
        "attempts": attempts,
        "wall_hours": seconds / 3600,
        "gpu_hours": seconds / 3600 * processes if device != "cpu" else 0.0,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    _write(record, files.outputs)


def _write(record: Mapping[str, Any], outputs: Sequence[Path]) -> None:
    for path in outputs:
        try:
            if path.exists() and not _tells_the_same(read_record(path), record):
                write_json(record_path(path), record)
        except OSError as error:  # the result is complete: days of work must not fail for its record
            log.warning("%s: its record cannot be written: %s", path, error)


def _tells_the_same(earlier: Mapping[str, Any] | None, record: Mapping[str, Any]) -> bool:
    """Whether the same was made from the same before; this run may have found the work done."""
    same = ("command", "settings_sha256", "inputs", "code", "outputs")
    return earlier is not None and all(earlier[key] == record[key] for key in same)


def is_inside(path: Path) -> bool:
    """Whether `path` is below the working folder (also where that links to another disk)."""
    return Path(os.path.relpath(path)).parts[0] != ".."


def _name(path: Path) -> str:
    """`path` from the working folder; of a file elsewhere only the name: records hold no machine's paths."""
    return Path(os.path.relpath(path)).as_posix() if is_inside(path) else path.name


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _device() -> str:
    """The GPU that this process has used, or ``cpu``."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return "cpu"
    return torch.cuda.get_device_name()


@contextmanager
def _clock(note: Path | None) -> Iterator[Any]:
    """Time the block, with earlier attempts that were stopped; also those that were killed, to the minute.

    Args:
        note: file that holds the time so far until the block succeeds; None to count this attempt only.

    Yields:
        A function that gives seconds and the number of attempts.
    """
    spent, attempts = _earlier_attempts(note) if note else (0.0, 0)
    started, done = time.monotonic(), threading.Event()

    def elapsed() -> tuple[float, int]:
        return spent + time.monotonic() - started, attempts + 1

    def keep() -> None:
        """Never fails: the work, or the error that ended it, matters more than its time."""
        try:
            if note:
                write_json(note, dict(zip(("seconds", "attempts"), elapsed(), strict=True)), durable=True)
        except OSError as error:
            log.warning("%s: the time of this attempt cannot be kept: %s", note, error)

    def keep_going() -> None:
        while not done.wait(_SECONDS_BETWEEN_NOTES):
            keep()

    keeper = threading.Thread(target=keep_going, daemon=True)
    keeper.start()
    try:
        yield elapsed
    except BaseException:
        done.set()
        keeper.join()
        keep()
        raise
    done.set()
    keeper.join()
    try:
        if note:
            note.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s: cannot be removed, so its time will count again: %s", note, error)


def _earlier_attempts(note: Path) -> tuple[float, int]:
    """Seconds and number of earlier attempts; none where the file does not say (after a machine crashed)."""
    try:
        if not note.is_file():
            return 0.0, 0
        found = read_json(note)
        seconds, attempts = float(found["seconds"]), int(found["attempts"])
        if not (math.isfinite(seconds) and seconds >= 0 and attempts >= 0):
            raise ValueError(f"{seconds} seconds, {attempts} attempts")
    except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        log.warning("%s: cannot be read (%r); the time of earlier attempts is not counted", note, error)
        return 0.0, 0
    return seconds, attempts
