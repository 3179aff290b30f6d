"""The training loop of every kind of model.

All randomness of optimizer step s is a function of (seed, s), so a run that was killed and started
again from its last saved state ends with the same weights as one that never stopped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn

from meddiff.checkpoint import (
    TrainState,
    load_optimizer_tensors,
    load_state,
    load_weights,
    optimizer_tensors,
    save_state,
    save_weights,
    with_prefix,
    without_prefix,
)
from meddiff.config.augmentation import Augmentation
from meddiff.config.model import TrainConfig
from meddiff.data.augment import augment
from meddiff.data.store import Store
from meddiff.data.tensors import to_unit_range
from meddiff.diffusion.noise import noise_keys
from meddiff.ema import EMA
from meddiff.errors import MeddiffError
from meddiff.optim import build_optimizer, epoch_batches, lr_factor, set_lr
from meddiff.progress import track

log = logging.getLogger("meddiff")

_STEPS_BETWEEN_LOSS_CHECKS = 50
STATE_FILE = "state.safetensors"


class Task(Protocol):
    """What a model is trained to do."""

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
        """Loss of each image, fp32 [N]; `keys` and `steps` are its source of randomness."""

    def classify(self, model: nn.Module, store: Store) -> np.ndarray:
        """Predicted class index of every image of `store`, int [I]."""


class Interrupted(MeddiffError):
    """Training was asked to stop; its state is saved."""


@dataclass
class History:
    """How far training has come.

    Attributes:
        step: finished optimizer steps.
        best_f1, best_epoch: best validation F1 so far (the first to reach it) and its epoch.
        epochs: one record an epoch (epoch, step, lr, loss; f1 and accuracy where validated).
        seconds: time spent training, over all restarts.
    """

    step: int = 0
    best_f1: float = -1.0
    best_epoch: int = -1
    epochs: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


class _LossModule(nn.Module):
    """Makes the loss the forward pass, so that a distributed wrapper sees it and syncs gradients."""

    def __init__(self, model: nn.Module, task: Task, augmentation: Augmentation | None) -> None:
        super().__init__()
        self.model = model
        self._task, self._augmentation = task, augmentation

    def forward(self, images: Tensor, labels: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
        images = to_unit_range(images)
        if self._augmentation:
            images = augment(images, self._augmentation, keys, steps)
        return self._task.loss(self.model, images, labels, keys, steps)


class Trainer:
    """One run of training: model, optimizer and average, and how to save and restore them."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        config: TrainConfig,
        seed: int,
        state_dir: Path,
        accelerator: Accelerator | None = None,
    ) -> None:
        """Prepare training, and restore it from `state_dir` if a state is there.

        Args:
            model: freshly built from `seed`.
            task: loss and validation.
            config: optimisation settings.
            seed: seed of data order and noise.
            state_dir: folder of the resume state; its name must identify params, code and data.
            accelerator: device placement, precision and processes; by default one process.
        """
        self.config, self.seed, self.state_dir, self.task = config, seed, state_dir, task
        self.accelerator = accelerator or Accelerator(mixed_precision=config.mixed_precision)
        self.model = model.to(self.accelerator.device)
        plain = model.plain_parameters()
        self.ema = EMA(self.model, config.ema, plain) if config.ema else None
        self._clipped = [p for name, p in self.model.named_parameters() if name not in plain]
        self.optimizer = build_optimizer(self.model.parameters(), config)
        self._loss, self._optimizer = self.accelerator.prepare(
            _LossModule(self.model, task, config.augmentation), self.optimizer
        )
        self._loss_sum = torch.zeros((), device=self.accelerator.device)
        self._keys = noise_keys(seed, [f"train/{i}" for i in range(config.batch_size)]).to(
            self.accelerator.device
        )
        self.history = History()
        self._restore()

    @property
    def eval_model(self) -> nn.Module:
        """The model that is validated and released: the average where there is one."""
        return self.ema.model if self.ema else self.model

    def run(
        self,
        train: Store,
        valid: Store,
        *,
        save_every_seconds: float = 600.0,
        stop: Callable[[], bool] = lambda: False,
        on_epoch: Callable[[dict[str, Any]], None] = lambda record: None,
    ) -> nn.Module:
        """Train to the end and return the selected model (`TrainConfig.select`), in eval mode.

        Args:
            train, valid: splits of one store.
            save_every_seconds: how often the resume state is written.
            stop: asked after every step; if true, the state is saved and `Interrupted` raised.
            on_epoch: called with the record of each finished epoch.

        Raises:
            Interrupted: when asked to stop.
            MeddiffError: if the loss is not finite.
        """
        images, labels = train.images, torch.as_tensor(train.labels)
        steps_per_epoch = len(epoch_batches(len(images), self.config.batch_size, self.seed, 0))
        total = self.config.steps or self.config.epochs * steps_per_epoch
        started, saved = time.monotonic() - self.history.seconds, time.monotonic()
        remaining = range(self.history.step, total)
        batches: list[np.ndarray] = []
        for step in track(remaining, "training", total=total, initial=self.history.step):
            epoch, index = divmod(step, steps_per_epoch)
            if not batches or index == 0:
                batches = epoch_batches(len(images), self.config.batch_size, self.seed, epoch)
            self._step(images, labels, batches[index], step, total)
            self.history.step = step + 1
            self.history.seconds = time.monotonic() - started
            if index == steps_per_epoch - 1 or step == total - 1:
                self._finish_epoch(epoch, index + 1, total, valid)
                on_epoch(self.history.epochs[-1])
            stopping = stop()
            if stopping or time.monotonic() - saved >= save_every_seconds:
                self._check_finite(step)
                self.save()
                saved = time.monotonic()
            if stopping:
                raise Interrupted(f"stopped after step {step + 1} of {total}; run again to go on from there")
        return self._best_model()

    def save(self) -> None:
        """Write the resume state (main process only)."""
        if not self.accelerator.is_main_process:
            return
        tensors = {
            **with_prefix("model", self.model.state_dict()),
            **with_prefix("optimizer", optimizer_tensors(self.optimizer)),
            "loss_sum": self._loss_sum,
        }
        if self.ema:
            tensors |= with_prefix("ema", self.ema.model.state_dict())
        scaler = self.accelerator.scaler
        values = {**vars(self.history), "scaler": scaler.state_dict() if scaler else None}
        save_state(self.state_dir / STATE_FILE, TrainState(tensors, values))
        for old in self.state_dir.glob("best-*.safetensors"):
            if old != self._best_file():
                old.unlink()

    def _step(self, images: np.ndarray, labels: Tensor, rows: np.ndarray, step: int, total: int) -> None:
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        mine = np.arange(rank, len(rows), world)
        device = self.accelerator.device
        # Networks with dropout draw from the global generator: tie it to the step as well.
        torch.manual_seed(self.seed * 1_000_003 + step * 1009 + rank)
        self.model.train()
        set_lr(self.optimizer, self._lr(step, total))
        loss = torch.zeros((), device=device)
        # A process without images in a short last batch still takes part in the exchange of gradients.
        parts = [part for part in np.array_split(mine, self.config.accumulate) if len(part)] or [mine]
        for number, part in enumerate(parts, start=1):
            # Processes exchange gradients once a step, with the last part.
            waiting = number < len(parts)
            with self.accelerator.no_sync(self._loss) if waiting else nullcontext():
                loss += self._backward(images, labels, rows, part, step)
        self.accelerator.clip_grad_norm_(self._clipped, self.config.clip_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self.ema:
            self.ema.update(self.model, step + 1)
        self._loss_sum += loss
        if step % _STEPS_BETWEEN_LOSS_CHECKS == 0:
            self._check_finite(step)

    def _backward(
        self, images: np.ndarray, labels: Tensor, rows: np.ndarray, part: np.ndarray, step: int
    ) -> Tensor:
        """Add the gradients of `part` (positions in the global batch `rows`); its share of the loss."""
        device = self.accelerator.device
        batch = torch.from_numpy(images[rows[part]]).to(device, non_blocking=True)
        losses = self._loss(
            batch,
            labels[torch.from_numpy(rows[part])].to(device, non_blocking=True),
            self._keys[torch.from_numpy(part).to(device)],
            torch.full((len(part),), step, dtype=torch.int64, device=device),
        )
        # Gradients are averaged over processes; this makes that the mean over the global batch.
        loss = losses.sum() * self.accelerator.num_processes / len(rows)
        self.accelerator.backward(loss)
        return loss.detach()

    def _lr(self, step: int, total: int) -> float:
        config = self.config
        return config.lr * lr_factor(step, config.warmup_steps, total, config.lr_schedule)

    def _check_finite(self, step: int) -> None:
        if not torch.isfinite(self._loss_sum):
            raise MeddiffError(
                f"the loss became NaN or infinite by step {step + 1}; lower train.lr, lengthen "
                "train.warmup_steps, or set train.mixed_precision to 'bf16' or 'no'"
            )

    def _finish_epoch(self, epoch: int, steps: int, total: int, valid: Store) -> None:
        """Record an epoch of `steps` steps, and validate after some."""
        self._check_finite(self.history.step - 1)
        loss = self.accelerator.reduce(self._loss_sum, "mean").item() / steps
        self._loss_sum.zero_()
        lr = self._lr(self.history.step, total)
        record: dict[str, Any] = {"epoch": epoch, "step": self.history.step, "lr": lr, "loss": loss}
        due = self.history.step == total or (epoch + 1) % self.config.validate_every == 0
        if due and self.config.select == "best_f1":
            record |= self._validate(valid)
            if record["valid_f1"] > self.history.best_f1:
                self.history.best_f1, self.history.best_epoch = record["valid_f1"], epoch
                if self.accelerator.is_main_process:
                    save_weights(self._best_file(), self.eval_model)
            log.info(
                "epoch %d: %s", epoch, ", ".join(f"{k} {v:.4g}" for k, v in record.items() if k != "epoch")
            )
        self.history.epochs.append(record)
        if "valid_f1" in record:
            self.save()

    def _validate(self, valid: Store) -> dict[str, float]:
        predicted = self.task.classify(self.eval_model, valid)
        average = "binary" if valid.num_classes == 2 else "macro"
        f1 = f1_score(valid.labels, predicted, average=average, zero_division=0.0)
        return {"valid_f1": float(f1), "valid_accuracy": float(accuracy_score(valid.labels, predicted))}

    def _best_file(self) -> Path:
        return self.state_dir / f"best-{self.history.best_epoch:06d}.safetensors"

    def _best_model(self) -> nn.Module:
        self.accelerator.wait_for_everyone()
        model = self.eval_model
        if self.config.select == "best_f1":
            load_weights(self._best_file(), model)
        return model.eval()

    def _restore(self) -> None:
        if self.accelerator.is_main_process:
            for leftover in self.state_dir.glob(".*.safetensors"):  # of a save that was killed half-way
                leftover.unlink()
        state = load_state(self.state_dir / STATE_FILE)
        if state is None:
            return
        self.model.load_state_dict(without_prefix("model", state.tensors))
        load_optimizer_tensors(self.optimizer, without_prefix("optimizer", state.tensors))
        if self.ema:
            self.ema.model.load_state_dict(without_prefix("ema", state.tensors))
        self._loss_sum.copy_(state.tensors["loss_sum"])
        scaler = state.values.pop("scaler")
        if scaler and self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(scaler)
        self.history = History(**state.values)
        log.info("resuming after step %d from %s", self.history.step, self.state_dir)
