"""Going on with smaller batches where memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from meddiff.errors import MeddiffError

log = logging.getLogger("meddiff")

T = TypeVar("T")
Batch = TypeVar("Batch", np.ndarray, Sequence)

# PyTorch has a class for accelerators only; these come as plain RuntimeErrors.
_MESSAGES = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory could not be had, on an accelerator or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _MESSAGES)


class Halving:
    """Applies a function to batches; in parts, each half as large as before, once memory has run out.

    The smaller size is kept for later batches.
    """

    def __init__(self, size: int, device: torch.device, what: str) -> None:
        """Begin with parts of `size`.

        Args:
            size: largest number of items that the function is given at once.
            device: where the function computes.
            what: what is being done, for messages.
        """
        self.size, self._device, self._what = size, device, what

    def __call__(self, function: Callable[[Batch], T], batch: Batch) -> list[T]:
        """Results of `function` for consecutive parts of `batch`, which together are all of it.

        Args:
            function: called again with a smaller part after it ran out of memory, so a call that fails must
                leave nothing behind.
            batch: anything that can be sliced.

        Raises:
            MeddiffError: if there is not enough memory for a single item.
        """
        results: list[T] = []
        start = 0
        while start < len(batch):
            part = batch[start : start + self.size]
            try:
                results.append(function(part))
                start += len(part)
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                said = str(error)
            # Not in the handler: there the traceback still holds the tensors of the pass that failed.
            self._halve(len(part), said)
        return results

    def _halve(self, failed: int, said: str) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if failed == 1:
            raise MeddiffError(
                f"{self._what}: memory of {self._device} does not suffice for one image at a time ({said}); "
                "end what else uses it, take a device with more memory, or a precision of 'bf16' or 'fp16'"
            )
        self.size = failed // 2
        log.warning("%s: out of memory with %d at a time, going on with %d", self._what, failed, self.size)
