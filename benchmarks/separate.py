"""A process of its own for the plain side of a comparison.

Our side changes how its process manages memory (`meddiff.devices.host_memory`), which cannot be undone and
which a plain script would not have.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType
from typing import Any

import torch


class SeparateProcess:
    """Calls functions in one other process, which keeps its state from call to call."""

    def __init__(self, threads: int) -> None:
        """Start it.

        Args:
            threads: of torch there.
        """
        self._pool = ProcessPoolExecutor(
            1, get_context("spawn"), initializer=torch.set_num_threads, initargs=(threads,)
        )

    def __enter__(self) -> SeparateProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The result of `function`, which must be found by name in an importable module."""
        return self._pool.submit(function, *arguments).result()
