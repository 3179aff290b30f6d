"""Requests to stop: SIGTERM (scancel, kill, preemption) and SIGUSR1 (Slurm's warning before a time limit)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

_received: list[int] = []
_parent: int | None = None


def listen(with_parent: bool = False) -> None:
    """From now on record stop signals instead of dying of them.

    Called before the slow imports, so that a signal that comes early is not lost.

    Args:
        with_parent: stop as well when the process that started this one is gone.
    """
    global _parent
    _received.clear()
    _parent = os.getppid() if with_parent else None
    for number in STOP_SIGNALS:
        signal.signal(number, _record)


def stop_signal() -> Callable[[], bool]:
    """A function that says whether to stop: has a signal come since `listen` (which is called if need be)?"""
    if any(signal.getsignal(number) is not _record for number in STOP_SIGNALS):
        listen()
    return _asked


def _asked() -> bool:
    return bool(_received) or (_parent is not None and os.getppid() != _parent)


def _record(number: int, frame: FrameType | None) -> None:
    _received.append(number)
