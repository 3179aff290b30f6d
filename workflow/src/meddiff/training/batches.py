"""Training batches on their way from the store to the device."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from meddiff.config.schema.training import TrainConfig
from meddiff.devices.cpus import usable_cpus
from meddiff.diffusion.noise import noise_keys
from meddiff.training.distributed import Processes

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """What one process passes through the network at once.

    Attributes:
        images: uint8 [N, H, W, C].
        labels: int64 [N].
        keys: int64 [N, 2], keys of the positions in the batch (`meddiff.diffusion.noise`).
        counts: False where the process has no image of a short batch, and computes one that does not count.
    """

    images: Tensor
    labels: Tensor
    keys: Tensor
    counts: bool


@dataclass(frozen=True)
class Batch:
    """This process's share of a batch.

    Attributes:
        parts: one after another, the same number on all processes.
        size: images of the whole batch, over all processes.
    """

    parts: list[Part]
    size: int


class BatchReader:
    """Gathers batches from mapped arrays: on the CPU, ready to be copied to the device of `processes`."""

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, processes: Processes, config: TrainConfig, seed: int
    ) -> None:
        """Read `images` (uint8 [I, H, W, C], or what is indexed like it) and `labels` (int64 [I]).

        Args:
            processes: which share every batch.
            config: batch size and accumulation.
            seed: of the keys.
        """
        self._images, self._labels = images, labels
        self._processes, self._accumulate = processes, config.accumulate
        self._on_gpu = processes.accelerator.device.type == "cuda"
        self._keys = noise_keys(seed, [f"train/{i}" for i in range(config.batch_size)])

    def read(self, orders: Iterator[np.ndarray]) -> Iterator[Batch]:
        """The batches of `orders` (the rows of each).

        For a GPU the next batch is gathered by a thread while the current step runs. On a CPU that
        gains nothing: a batch is gathered in a thousandth of the time of a step.
        """
        batches = map(self.batch, orders)
        return ahead(batches) if self._on_gpu and usable_cpus() > 1 else batches

    def batch(self, rows: np.ndarray) -> Batch:
        """Our share of the images of `rows`."""
        # The batch is divided into parts first and among processes then: the parts are the same for every
        # number of processes, and every process takes part in each.
        positions = np.array_split(np.arange(len(rows)), min(self._accumulate, len(rows)))
        return Batch([self._part(rows, part) for part in positions], len(rows))

    def _part(self, rows: np.ndarray, positions: np.ndarray) -> Part:
        mine = self._processes.share(positions)
        counts = len(mine) > 0
        if not counts:
            mine = positions[:1]
        tensors = (
            torch.from_numpy(self._images[rows[mine]]),
            torch.from_numpy(self._labels[rows[mine]]),
            self._keys[torch.from_numpy(mine)],
        )
        # A copy from other memory would wait for the GPU.
        return Part(*(tensor.pin_memory() if self._on_gpu else tensor for tensor in tensors), counts)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """`items` in their order, each made by a thread while the one before it is used."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item
