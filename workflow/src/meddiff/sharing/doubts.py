"""Results of which it is not known that they belong to what lies beside them are made again.

Snakemake judges by its own records. Where these are gone (the folder ``.snakemake`` was deleted, or results
were copied without it), or a file is not the one that was made (edited, or an older one put back by git), it
would find nothing to do. Such a file is marked as out of date, by its time and without a record, before
anything is planned. That costs little: weights and errors that were made from the same are found and taken.
"""

from __future__ import annotations

import ast
import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from meddiff.io import read_json
from meddiff.records.record import digest, read_record
from meddiff.sharing.snakemake_records import METADATA, TIMESTAMP, record_file

log = logging.getLogger("meddiff")

# Their results are small and made in seconds. A file that costs hours is not made again for a doubt: those
# who read it check it, and `meddiff provenance` says what is wrong.
# (`leaks` leaves its files as they are where it refuses splits, and Snakemake takes them for made again.)
_CHEAP = {"leaks", "vote", "metrics", "collect", "measure", "artifact"}
_LONG_AGO = (1, 1)


def mark_doubtful(paths: Iterable[str]) -> None:
    """Mark as out of date what Snakemake has no record of, and what is not as meddiff's records say.

    Args:
        paths: outputs of the workflow, relative to the working folder.
    """
    there = [path for path in paths if os.path.exists(path)]
    if not METADATA.with_name("metadata.db").exists():  # another place for Snakemake's records
        _mark([path for path in there if not record_file(path).is_file()], "have no record of Snakemake's")
    _mark([path for path in there if not _is_as_recorded(path)], "are not those that were made")


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


def _is_as_recorded(path: str) -> bool:
    """Whether a file is what its record says, and the two records of how it was made agree.

    Who puts back an older file brings its older record, too, but not that of Snakemake.
    """
    record = read_record(Path(path))
    if record is None or record["command"] not in _CHEAP or path not in record["outputs"]:
        return True
    if not record_file(path).is_file():
        return True  # in doubt for that already
    planned = read_json(record_file(path))
    checksums = planned.get("input_checksums") or {}
    return (
        digest(Path(path)) == record["outputs"][path]["sha256"]
        and all(
            checksums.get(name, "").removeprefix("sha256:") in ("", used["sha256"])
            for name, used in record["inputs"].items()
        )
        and _agree(record["settings"].get("params"), planned.get("params") or [])
    )


def _agree(params: Any, planned: list[str]) -> bool:
    """Whether settings are among the params of the rule, which Snakemake keeps as Python literals."""
    if params is None:
        return True
    found = []
    for literal in planned:
        with suppress(ValueError, SyntaxError, TypeError):
            found.append(json.loads(ast.literal_eval(literal)))
    settings = [value for value in found if isinstance(value, dict)]
    return not settings or params in settings
