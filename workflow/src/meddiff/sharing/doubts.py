"""Results of which it is not known that they belong to what lies beside them are made again.

Snakemake judges by its own records. Where these are gone (the folder ``.snakemake`` was deleted, or results
were copied without it), or a file is not the one that was made (edited, or an older one put back by git), it
would find nothing to do. Such a file is marked as out of date, by its time and without a record, before
anything is planned. That costs little: weights and errors that were made from the same are found and taken.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from meddiff.records.record import digest, read_record
from meddiff.sharing.snakemake_records import METADATA, TIMESTAMP, record_file

log = logging.getLogger("meddiff")

# Their results are made in seconds, from files that can be read at every start.
_CHEAP = {"validate", "stratify", "vote", "metrics", "collect", "table", "figure", "measure"}
_MOST_BYTES = 10_000_000
_LONG_AGO = (1, 1)


def mark_doubtful(paths: Iterable[str]) -> None:
    """Mark as out of date what Snakemake has no record of, and what is not as meddiff's records say.

    Args:
        paths: outputs of the workflow, relative to the working folder.
    """
    there = [path for path in paths if os.path.exists(path)]
    if not METADATA.with_name("metadata.db").exists():  # another place for Snakemake's records
        _mark([path for path in there if not record_file(path).is_file()], "have no record of Snakemake's")
    seen: dict[str, str | None] = {}
    changed = [path for path in there if not _is_as_recorded(path, seen)]
    _mark(changed, "are not what was made, or not from what is beside them")


def edited(paths: Iterable[str]) -> list[str]:
    """The files that are not as meddiff's records say they were made."""
    found = []
    for path in paths:
        made = (read_record(Path(path)) or {}).get("outputs", {}).get(path)
        if made and Path(path).is_file() and digest(Path(path)) != made["sha256"]:
            found.append(path)
    return found


def _mark(paths: list[str], why: str) -> None:
    # Older than it is already, nothing can become: a second look says nothing anew.
    fresh = [path for path in paths if os.stat(path).st_mtime > _LONG_AGO[1]]
    for path in paths:
        record_file(path).unlink(missing_ok=True)
        for file in {Path(path), Path(path, TIMESTAMP)}:
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                os.utime(file, _LONG_AGO)
    if fresh:
        log.warning("%d results %s; they are made again. The first is %s", len(fresh), why, fresh[0])


def _is_as_recorded(path: str, seen: dict[str, str | None]) -> bool:
    record = read_record(Path(path))
    if record is None or record["command"] not in _CHEAP or path not in record["outputs"]:
        return True
    files: dict[str, Any] = {path: record["outputs"][path], **record["inputs"]}
    return all(_digest(name, seen) in (None, made["sha256"]) for name, made in files.items())


def _digest(path: str, seen: dict[str, str | None]) -> str | None:
    """SHA-256 of a file that is there and small; None for others."""
    if path not in seen:
        small = os.path.isfile(path) and os.path.getsize(path) <= _MOST_BYTES
        seen[path] = digest(Path(path)) if small else None
    return seen[path]
