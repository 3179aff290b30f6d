"""Work divided among the CPUs of this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def thread_map(function: Callable[[T], R], items: Sequence[T], threads: int | None = None) -> Iterator[R]:
    """Map over `items` in threads, in order; for functions that release the GIL (decode, hash).

    Args:
        function: called once for each item.
        items: the arguments.
        threads: default is the number of CPUs this process may use.
    """
    pool = ThreadPoolExecutor(threads or usable_cpus())
    try:
        yield from pool.map(function, items)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    # A cluster job may use fewer CPUs than the machine has; macOS does not tell.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
