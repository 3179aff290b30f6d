"""Logging and progress: bars on a terminal, plain lines in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_SECONDS_BETWEEN_LINES = 10.0
_MINUTE, _HOUR = 60, 3600


_quiet = False


def setup_logging(level: int = logging.INFO) -> None:
    """Send log records to standard error, one line each with the time of day."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )


def keep_quiet() -> None:
    """Show errors only: another process of the same run shows progress."""
    global _quiet
    _quiet = True
    logging.getLogger("meddiff").setLevel(logging.ERROR)


def track(items: Iterable[T], description: str, total: int | None = None, initial: int = 0) -> Iterator[T]:
    """Iterate over `items` and show how far it has come.

    On a terminal this is a tqdm bar. Elsewhere (a rule's log file) it is one log line every ten
    seconds and one at the end, so that a log stays readable.

    Args:
        items: what to iterate over.
        description: what is being done, e.g. ``"scoring"``.
        total: number of items with those done before; taken from ``len(items)`` where it has one.
        initial: how many were done before (a resumed run).
    """
    if _quiet:
        yield from items
        return
    if total is None and hasattr(items, "__len__"):
        total = initial + len(items)  # type: ignore[arg-type]
    if sys.stderr.isatty():
        from tqdm.auto import tqdm

        yield from tqdm(items, desc=description, total=total, initial=initial)
        return
    yield from _with_lines(items, description, total, initial)


def _with_lines(items: Iterable[T], description: str, total: int | None, initial: int) -> Iterator[T]:
    log = logging.getLogger("meddiff")
    start = last = time.monotonic()
    done = initial
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES or done == total:
            rate = (done - initial) / max(now - start, 1e-9)
            of_total = "" if total is None else f"/{total}"
            left = "" if total is None else f", {_duration((total - done) / max(rate, 1e-9))} left"
            log.info("%s %d%s (%.2f/s%s)", description, done, of_total, rate, left)
            last = now


def _duration(seconds: float) -> str:
    """In the unit that is read best."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"
