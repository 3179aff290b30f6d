"""One optimizer step over all processes: as if one process had had the whole batch."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from meddiff.config.augmentation import Augmentation
from meddiff.config.model import TrainConfig
from meddiff.data.augment import augment
from meddiff.data.tensors import to_unit_range
from meddiff.diffusion.noise import noise_keys
from meddiff.distributed import Processes
from meddiff.shared_norm import SharedNorm


class Loss(Protocol):
    """What is minimised."""

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
        """Loss of each image, fp32 [N]; `keys` and `steps` are its source of randomness."""


class _LossModule(nn.Module):
    """Makes the loss the forward pass, so that a distributed wrapper sees it and syncs gradients."""

    def __init__(self, model: nn.Module, task: Loss, augmentation: Augmentation | None) -> None:
        super().__init__()
        self.model = model
        self._task, self._augmentation = task, augmentation

    def forward(self, images: Tensor, labels: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
        images = to_unit_range(images)
        if self._augmentation:
            images = augment(images, self._augmentation, keys, steps)
        return self._task.loss(self.model, images, labels, keys, steps)


class TrainStep:
    """Forward, backward, exchange of gradients, clipping and update."""

    def __init__(
        self,
        processes: Processes,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        task: Loss,
        config: TrainConfig,
        seed: int,
    ) -> None:
        """Wrap `model` and `optimizer`, which stay usable.

        Args:
            processes: which share every batch.
            model: on its device; with several processes its batch normalisation is made to see all of them.
            optimizer: of its parameters.
            task: the loss.
            config: batch size, accumulation, clipping, augmentation.
            seed: of noise and dropout.
        """
        self._processes, self._accelerator = processes, processes.accelerator
        self._model, self._config, self._seed = model, config, seed
        plain = model.plain_parameters()
        self._clipped = [p for name, p in model.named_parameters() if name not in plain]
        self._norm = SharedNorm(model) if processes.count > 1 else None
        self._loss, self._optimizer = self._accelerator.prepare(
            _LossModule(model, task, config.augmentation), optimizer
        )
        self._keys = noise_keys(seed, [f"train/{i}" for i in range(config.batch_size)]).to(
            self._accelerator.device
        )

    def __call__(self, images: np.ndarray, labels: Tensor, rows: np.ndarray, step: int) -> Tensor:
        """Make step number `step` with the images of `rows`, the same on all processes.

        Returns:
            Mean loss of the batch, a scalar on the device that is the same on all processes.
        """
        # Networks with dropout draw from the global generator: tie it to the step as well.
        torch.manual_seed(self._seed * 1_000_003 + step * 1009 + self._processes.rank)
        self._model.train()
        loss = torch.zeros((), device=self._accelerator.device)
        # The batch is divided into parts first and among processes then: the parts are the same for every
        # number of processes, and every process takes part in each.
        positions = np.array_split(np.arange(len(rows)), min(self._config.accumulate, len(rows)))
        for number, part in enumerate(positions, start=1):
            # Processes exchange gradients once a step, with the last part.
            waiting = number < len(positions)
            with self._accelerator.no_sync(self._loss) if waiting else nullcontext():
                loss += self._backward(images, labels, rows, part, step)
        self._accelerator.clip_grad_norm_(self._clipped, self._config.clip_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return self._processes.mean(loss)

    def _backward(
        self, images: np.ndarray, labels: Tensor, rows: np.ndarray, part: np.ndarray, step: int
    ) -> Tensor:
        """Add the gradients of our share of `part` (positions in the batch); its share of the loss."""
        device = self._accelerator.device
        mine = self._processes.share(part)
        # A process without images in a short batch computes one that does not count.
        counts = len(mine) > 0
        if not counts:
            mine = part[:1]
        if self._norm:
            self._norm.counts = counts
        losses = self._loss(
            torch.from_numpy(images[rows[mine]]).to(device, non_blocking=True),
            labels[torch.from_numpy(rows[mine])].to(device, non_blocking=True),
            self._keys[torch.from_numpy(mine).to(device)],
            torch.full((len(mine),), step, dtype=torch.int64, device=device),
        )
        # Gradients are averaged over processes; this makes that the mean over the global batch.
        loss = losses.sum() * (self._processes.count * counts) / len(rows)
        self._accelerator.backward(loss)
        return loss.detach()
