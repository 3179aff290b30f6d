"""Work divided among the CPUs of this process."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 64  # items a thread: one that takes long does not hold up the others


def thread_map(function: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> Iterator[R]:
    """Map over `items` in threads, in order; for functions that release the GIL (decode, hash).

    Items are taken as they are needed, so that memory does not grow with their number.

    Args:
        function: called once for each item.
        items: the arguments.
        threads: default is the number of CPUs this process may use.
    """
    threads = threads or usable_cpus()
    pool, waiting = ThreadPoolExecutor(threads), deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    # A cluster job may use fewer CPUs than the machine has; macOS does not tell.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
