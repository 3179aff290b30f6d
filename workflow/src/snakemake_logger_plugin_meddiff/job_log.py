"""What the log of a job says: its last line while it runs, and why it failed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_READ = 20_000  # bytes of the end of a log
_SHOWN = 10  # lines of a failed job
_LINE = re.compile(r"^\d\d:\d\d:\d\d (?P<level>[A-Z]+) (?P<text>.*)$")
_COUNTED = re.compile(r"\b\d+/\d+\b")
_ERRORS = ("ERROR", "CRITICAL")


@dataclass(frozen=True)
class Reason:
    """Why a job failed.

    Attributes:
        message: an error that a user can act on, or the last line of a traceback; empty where there is none.
        before: the last lines of the log before that.
    """

    message: str
    before: tuple[str, ...]


def tail(path: str) -> list[str]:
    """The last lines of a log; none if it is not there."""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _READ, 0))
            return file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def progress(path: str) -> str:
    """How far a job is by the last line of its log, as ``training 40/350 (5 s left)``; empty if unsaid."""
    lines = [line for line in tail(path) if line.strip()]
    found = _LINE.match(lines[-1]) if lines else None
    return found["text"].strip() if found and _COUNTED.search(found["text"]) else ""


def reason(lines: list[str]) -> Reason:
    """Why a job failed, from the last lines of its log.

    Commands of ``meddiff`` write errors that a user can act on as ``12:34:56 ERROR ...``, in one or more
    lines. Other errors end a traceback, which is kept in `Reason.before`.
    """
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    matches = [_LINE.match(line) for line in lines]
    errors = [i for i, found in enumerate(matches) if found and found["level"] in _ERRORS]
    if errors:
        first = errors[-1]
        after = (i for i in range(first + 1, len(lines)) if matches[i])
        message = [matches[first]["text"], *lines[first + 1 : next(after, len(lines))]]
        return Reason("\n".join(message), tuple(lines[max(first - _SHOWN, 0) : first]))
    if any(line.startswith("Traceback ") for line in lines):
        return Reason(lines[-1], tuple(lines[-_SHOWN - 1 : -1]))
    return Reason("", tuple(lines[-_SHOWN:]))
