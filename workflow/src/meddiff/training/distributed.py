"""The processes of one training: one, or several that share every batch."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch import distributed as dist

# One process may validate or save while the others wait; that a process died is noticed at once.
_PATIENCE = datetime.timedelta(days=7)


class Processes:
    """How the processes of one training agree.

    Attributes:
        accelerator: device placement, precision, exchange of gradients.
        rank, count: number of this process (from 0), and how many there are.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        """Every process calls this at the same point, as all other methods."""
        self.accelerator = accelerator
        self.rank, self.count = accelerator.process_index, accelerator.num_processes
        # Decisions travel between CPUs, so that no GPU is waited for.
        self._control = dist.new_group(backend="gloo", timeout=_PATIENCE) if self.count > 1 else None

    @property
    def is_main(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true for one of the processes; the same answer for all of them."""
        return bool(self.most(int(flag)))

    def most(self, number: int) -> int:
        """The largest `number` of the processes; the same answer for all of them."""
        if self._control is None:
            return number
        numbers = torch.tensor(number)
        dist.all_reduce(numbers, dist.ReduceOp.MAX, group=self._control)
        return int(numbers)

    def wait(self) -> None:
        """Wait until every process is here."""
        self.any(False)

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a tensor over the processes, on its device."""
        return self.accelerator.reduce(value, "mean")

    def share(self, rows: np.ndarray) -> np.ndarray:
        """This process's part of `rows`, perhaps none; all parts together are `rows`."""
        return rows[self.rank :: self.count]

    def join(self, part: np.ndarray, total: int) -> np.ndarray:
        """Undo `share` for results: int64 [total], of which `part` are this process's."""
        joined = torch.zeros(total, dtype=torch.int64)
        joined[self.rank :: self.count] = torch.from_numpy(np.asarray(part, dtype=np.int64))
        if self._control is not None:
            dist.all_reduce(joined, group=self._control)
        return joined.numpy()


class SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over processes, whose gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """The sum, in a tensor of its own."""
        total = value.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Every process's loss depends on every process's value."""
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total
