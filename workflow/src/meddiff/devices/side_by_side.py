"""Parts of a batch at the same time on a CPU, a thread each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import pairwise
from types import TracebackType
from typing import TypeVar

import torch

T = TypeVar("T")


class SideBySide:
    """Divides batches among the threads that PyTorch may use, instead of every single operation.

    Threads that share out an operation wait for each other after it, which for small networks is most of the
    time. Only for passes without gradients. On other devices, and with one thread, nothing is divided.
    """

    def __init__(self, device: torch.device, mode: Callable[[], AbstractContextManager[object]]) -> None:
        """Prepare for computations on `device`.

        Args:
            mode: entered around each part: what PyTorch keeps for each thread (autocast).
        """
        self._threads = torch.get_num_threads() if device.type == "cpu" else 1
        self._mode = mode
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> SideBySide:
        if self._threads > 1:
            self._pool = ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
            # Libraries behind PyTorch keep one number for all threads.
            torch.set_num_threads(self._threads)

    def __call__(self, run: Callable[[slice], T], count: int) -> list[T]:
        """Results of `run` for slices that together are the `count` rows of a batch, in their order."""
        if self._pool is None or count < 2:
            return [self._run(run, slice(0, count))]
        parts = min(self._threads, count)
        bounds = [count * i // parts for i in range(parts + 1)]
        futures = [self._pool.submit(self._run, run, slice(start, stop)) for start, stop in pairwise(bounds)]
        return [future.result() for future in futures]

    def _run(self, run: Callable[[slice], T], part: slice) -> T:
        with torch.inference_mode(), self._mode():
            return run(part)
