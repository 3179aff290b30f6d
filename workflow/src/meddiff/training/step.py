"""One optimizer step over all processes: as if one process had had the whole batch."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from meddiff.config.schema.augmentation import Augmentation
from meddiff.config.schema.training import TrainConfig
from meddiff.data.stores.augment import augment_pixels
from meddiff.training.batches import Batch, Part
from meddiff.training.distributed import Processes
from meddiff.training.shared_norm import SharedNorm


class Loss(Protocol):
    """What is minimised."""

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
        """Loss of each image, fp32 [N]; `keys` and `steps` are its source of randomness.

        Images are as they are stored (uint8 [N, H, W, C]), or augmented (fp32 [N, C, H, W] in [-1, 1]).
        """


class _LossModule(nn.Module):
    """Makes the loss the forward pass, so that a distributed wrapper sees it and syncs gradients."""

    def __init__(self, model: nn.Module, task: Loss, augmentation: Augmentation | None) -> None:
        super().__init__()
        self.model = model
        self._task, self._augmentation = task, augmentation

    def forward(self, images: Tensor, labels: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
        if self._augmentation:
            images = augment_pixels(images, self._augmentation, keys, steps)
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
            config: clipping, augmentation.
            seed: of dropout.
        """
        self._processes, self._accelerator = processes, processes.accelerator
        self._model, self._config, self._seed = model, config, seed
        plain = model.plain_parameters()
        self._clipped = [p for name, p in model.named_parameters() if name not in plain]
        self._norm = SharedNorm(model) if processes.count > 1 else None
        # Running statistics, which an infinite activation would spoil although its step is skipped.
        scaled = self._accelerator.scaler is not None
        self._buffers = [buffer for buffer in model.buffers() if buffer.numel()] if scaled else []
        self._loss, self._optimizer = self._accelerator.prepare(
            _LossModule(model, task, config.augmentation), optimizer
        )

    def __call__(self, batch: Batch, step: int) -> tuple[Tensor, Tensor | None]:
        """Make step number `step` with our share of a batch.

        Returns:
            Mean loss of the batch, a scalar on the device that is the same on all processes; and whether the
            gradient scaler has skipped the step (bool scalar on the device), or None without a scaler.
        """
        # Networks with dropout draw from the global generator: tie it to the step as well.
        torch.manual_seed(self._seed * 1_000_003 + step * 1009 + self._processes.rank)
        if not self._model.training:  # which takes a walk over all its modules
            self._model.train()
        scale_before, buffers_before = self._scale(), [buffer.clone() for buffer in self._buffers]
        loss = torch.zeros((), device=self._accelerator.device)
        for number, part in enumerate(batch.parts, start=1):
            # Processes exchange gradients once a step, with the last part.
            waiting = number < len(batch.parts)
            with self._accelerator.no_sync(self._loss) if waiting else nullcontext():
                loss += self._backward(part, batch.size, step)
        self._accelerator.clip_grad_norm_(self._clipped, self._config.clip_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._processes.mean(loss)
        if scale_before is None:
            return loss, None
        # Accelerate asks the optimizer whether it made the step, but a fused one decides on the device.
        skipped = (self._scale() < scale_before) | ~loss.isfinite()
        for buffer, before in zip(self._buffers, buffers_before, strict=True):
            buffer.copy_(torch.where(skipped, before, buffer))
        return loss, skipped

    def _scale(self) -> Tensor | None:
        """What the gradient scaler multiplies losses by, on the device; None without a scaler."""
        scaler = self._accelerator.scaler
        return None if scaler is None else scaler.scale(torch.ones((), device=self._accelerator.device))

    def _backward(self, part: Part, batch_size: int, step: int) -> Tensor:
        """Add the gradients of `part`; its share of the loss of a batch of `batch_size`."""
        device = self._accelerator.device
        if self._norm:
            self._norm.counts = part.counts
        losses = self._loss(
            *(tensor.to(device, non_blocking=True) for tensor in (part.images, part.labels, part.keys)),
            torch.full((len(part.keys),), step, dtype=torch.int64, device=device),
        )
        # Gradients are averaged over processes; this makes that the mean over the global batch.
        loss = losses.sum() * (self._processes.count * part.counts) / batch_size
        self._accelerator.backward(loss)
        return loss.detach()
