"""Copies between host and device for which neither has to wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Batch = TypeVar("Batch")
Result = TypeVar("Result")
Fetch = Callable[[], np.ndarray]


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """`array` as a tensor on `device`.

    For a CUDA device the copy is queued and the host goes on. On the CPU the tensor shares the memory of
    `array`.
    """
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    # From memory that can be swapped out, CUDA copies only after all queued work.
    return tensor.pin_memory().to(device, non_blocking=True)


def fetch(tensor: Tensor) -> Fetch:
    """Begin to copy `tensor` to the host; the function that is returned waits for it and gives the array.

    On a CUDA device the copy is queued now, so it does not wait for work that is queued later.
    """
    if tensor.device.type != "cuda":
        return tensor.cpu().numpy
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    copied = torch.cuda.current_stream(tensor.device).record_event()

    def wait() -> np.ndarray:
        copied.synchronize()
        return host.numpy()

    return wait


def evaluated(
    batches: Iterable[Batch], queue: Callable[[Batch], Callable[[], Result]], ahead: int
) -> Iterator[tuple[Batch, Result]]:
    """Every batch with its result, in order.

    Args:
        batches: what to evaluate. With `ahead` = 0 the next one is taken only when the caller is done with
            the result of the one before.
        queue: begins to evaluate a batch.
        ahead: how many later batches are queued before a result is waited for.
    """
    waiting: deque[tuple[Batch, Callable[[], Result]]] = deque()
    for batch in batches:
        waiting.append((batch, queue(batch)))
        if len(waiting) > ahead:
            first, result = waiting.popleft()
            yield first, result()
    for batch, result in waiting:
        yield batch, result()
