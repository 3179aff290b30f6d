"""The training loop of every kind of model.

All randomness of optimizer step s is a function of (seed, s), so a run that was killed and started
again from its last saved state ends with the same weights as one that never stopped.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from accelerate import Accelerator
from sklearn.metrics import accuracy_score, f1_score
from torch import nn

from meddiff.config.schema.training import TrainConfig
from meddiff.data.stores.store import Store
from meddiff.errors import CheckpointError, Interrupted, MeddiffError
from meddiff.progress import track
from meddiff.training.batches import Batch, BatchReader
from meddiff.training.clock import Clock
from meddiff.training.distributed import Processes
from meddiff.training.ema import EMA
from meddiff.training.losses import MOST_SKIPPED, Losses
from meddiff.training.optim import build_optimizer, lr_factor, order, set_lr
from meddiff.training.state import History, TrainingState
from meddiff.training.step import Loss, TrainStep

log = logging.getLogger("meddiff")

_STEPS_BETWEEN_LOSS_CHECKS = 50
_SAVE, _STOP = 1, 2  # what a process may ask of all; the largest is done


class Task(Loss, Protocol):
    """What a model is trained to do."""

    def classify(self, model: nn.Module, store: Store, on_batch: Callable[[], None]) -> np.ndarray:
        """Predicted class index of every image of `store`, int [I]; calls `on_batch` after each batch."""


class Trainer:
    """One run of training: model, optimizer and average, and how to save and restore them."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        config: TrainConfig,
        seed: int,
        state_dir: Path,
        processes: Processes | None = None,
    ) -> None:
        """Prepare training, and restore it from `state_dir` if a state is there.

        Args:
            model: freshly built from `seed`.
            task: loss and validation.
            config: optimisation settings.
            seed: seed of data order and noise.
            state_dir: folder of the resume state; its name must identify params, code and data.
            processes: device placement, precision and number of processes; by default one process.
        """
        self.config, self.seed, self.state_dir, self.task = config, seed, state_dir, task
        self.processes = processes or Processes(Accelerator(mixed_precision=config.mixed_precision))
        accelerator = self.processes.accelerator
        self.model = model.to(accelerator.device)
        self.ema = EMA(self.model, config.ema, model.plain_parameters()) if config.ema else None
        self.optimizer = build_optimizer(self.model.parameters(), config)
        self._take_step = TrainStep(self.processes, self.model, self.optimizer, task, config, seed)
        losses = Losses(accelerator.device, skipping=accelerator.scaler is not None)
        self.state = TrainingState(
            state_dir, self.model, self.ema, self.optimizer, accelerator.scaler, losses
        )
        self.state.restore()

    @property
    def history(self) -> History:
        """How far training has come."""
        return self.state.history

    @property
    def eval_model(self) -> nn.Module:
        """The model that is validated and released: the average where there is one."""
        return self.state.averaged

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
            save_every_seconds: how often the resume state is written, after a first time at once.
            stop: asked after every step and in validation; if true on one of the processes, the state is
                saved and `Interrupted` raised on all.
            on_epoch: called with the record of each finished epoch.

        Raises:
            Interrupted: when asked to stop.
            CheckpointError: if the state cannot be saved the first time, or when asked to stop.
            MeddiffError: if the loss is not finite; with a gradient scaler, which skips such steps, if it
                has skipped `MOST_SKIPPED` in a row, or all.
        """
        batch_size = self.config.batch_size
        steps_per_epoch = -(-len(train) // batch_size)
        total = self.config.steps or self.config.epochs * steps_per_epoch
        clock = Clock(save_every_seconds, self.history.seconds, self.processes.count)
        remaining = range(self.history.step, total)
        reader = BatchReader(train.images, train.labels, self.processes, self.config, self.seed)
        batches = reader.read(self._order(train, remaining))
        if self._epoch_is_unfinished(steps_per_epoch, total):
            self._finish_epoch(steps_per_epoch, total, valid, stop, on_epoch)
        steps = track(remaining, "training", total=total, initial=self.history.step)
        for step, batch in zip(steps, batches, strict=True):
            self._step(batch, step, total)
            self.history.step = step + 1
            self.history.seconds = clock.seconds()
            if self._epoch_is_unfinished(steps_per_epoch, total):
                self._finish_epoch(steps_per_epoch, total, valid, stop, on_epoch)
            # One exchange for both: processes must agree on when to save, and their clocks do not.
            asked = self.processes.most(_STOP if stop() else _SAVE if clock.is_due() else 0)
            if asked == _STOP:
                self._save_and_stop(f"stopped after step {step + 1} of {total}")
            if asked == _SAVE:
                self._save_on_time(clock)
        return self._best_model()

    def save(self) -> None:
        """Write the resume state: the main process does, the others wait.

        They must not wait in the next step: an exchange of gradients has a time limit, and writing to a
        slow disk has none.

        Raises:
            CheckpointError: if it cannot be written, in all processes.
            MeddiffError: if training has diverged: nothing would be gained by going on from there.
        """
        self.state.losses.check(self.history.step - 1)
        error = None
        if self.processes.is_main:
            try:
                self.state.save()
            except CheckpointError as caught:
                error = caught
        if self.processes.any(error is not None):
            raise error or CheckpointError("the main process could not save the state")

    def _save_on_time(self, clock: Clock) -> None:
        try:
            self.save()
        except CheckpointError as error:
            if clock.saves == 0:
                raise
            # Hours of work in memory are worth more than stopping: the disk may have room again next time.
            log.error("%s; going on, and trying again in %.3g minutes", error, clock.every / 60)
        clock.restart()

    def _save_and_stop(self, reason: str) -> None:
        self.save()
        # Who ends first has the others killed.
        self.processes.wait()
        raise Interrupted(f"{reason}; run again to go on from there")

    def _step(self, batch: Batch, step: int, total: int) -> None:
        set_lr(self.optimizer, self._lr(step, total))
        loss, skipped = self._take_step(batch, step)
        if self.ema:
            self.ema.update(step + 1)
        self.state.losses.add(loss, skipped)
        if step % _STEPS_BETWEEN_LOSS_CHECKS == 0:
            self.state.losses.check(step)

    def _order(self, train: Store, steps: range) -> Iterator[np.ndarray]:
        labels = train.labels if self.config.sampler == "balanced" else None
        return order(len(train), self.config.batch_size, self.seed, steps, labels)

    def _lr(self, step: int, total: int) -> float:
        config = self.config
        return config.lr * lr_factor(step, config.warmup_steps, total, config.lr_schedule)

    def _epoch_is_unfinished(self, steps_per_epoch: int, total: int) -> bool:
        """Whether all steps of an epoch are made, but its record is not (a run may stop in validation)."""
        ended, begun = divmod(self.history.step, steps_per_epoch)
        if begun and self.history.step == total:
            ended += 1
        return len(self.history.epochs) < ended

    def _finish_epoch(
        self,
        steps_per_epoch: int,
        total: int,
        valid: Store,
        stop: Callable[[], bool],
        on_epoch: Callable[[dict[str, Any]], None],
    ) -> None:
        """Record the epoch whose last step was just made, and validate after some."""
        # Whose every step was skipped is not trained, however few steps there are.
        most_skipped = min(MOST_SKIPPED, total) if self.history.step == total else MOST_SKIPPED
        self.state.losses.check(self.history.step - 1, most_skipped)
        epoch = len(self.history.epochs)
        steps = self.history.step - epoch * steps_per_epoch
        record: dict[str, Any] = {"epoch": epoch, "step": self.history.step}
        record |= {"lr": self._lr(self.history.step, total), **self.state.losses.mean(steps)}
        due = self.history.step == total or (epoch + 1) % self.config.validate_every == 0
        if due and self.config.select == "best_f1":
            record |= self._validate(valid, stop)
            if record["valid_f1"] > self.history.best_f1:
                self.history.best_f1, self.history.best_epoch = record["valid_f1"], epoch
                if self.processes.is_main:
                    self.state.save_best()
            log.info(
                "epoch %d: %s", epoch, ", ".join(f"{k} {v:.4g}" for k, v in record.items() if k != "epoch")
            )
        self.state.losses.begin_epoch()
        self.history.epochs.append(record)
        if "valid_f1" in record:
            self.save()
        on_epoch(record)

    def _validate(self, valid: Store, stop: Callable[[], bool]) -> dict[str, float]:
        """Metrics of the validation split, whose images are divided among the processes."""

        def on_batch() -> None:
            if stop():
                raise Interrupted("stopped")

        part = self._own_share(valid)
        predicted, error = np.zeros(len(part), np.int64), None
        try:
            if len(part):
                predicted = self.task.classify(self.eval_model, part, on_batch)
        except MeddiffError as caught:
            error = caught
        stopped = isinstance(error, Interrupted)
        if self.processes.any(error is not None and not stopped):
            raise MeddiffError("validation failed in another process") if error is None or stopped else error
        if self.processes.any(stopped):
            self._save_and_stop(f"stopped in the validation after step {self.history.step}")
        predicted = self.processes.join(predicted, len(valid))
        average = "binary" if valid.num_classes == 2 else "macro"
        f1 = f1_score(valid.labels, predicted, average=average, zero_division=0.0)
        return {"valid_f1": float(f1), "valid_accuracy": float(accuracy_score(valid.labels, predicted))}

    def _own_share(self, store: Store) -> Store:
        if self.processes.count == 1:
            return store
        rows = self.processes.share(np.arange(len(store)))
        return dataclasses.replace(
            store,
            images=store.images[rows],
            image_ids=[store.image_ids[row] for row in rows],
            labels=store.labels[rows],
            groups=[store.groups[row] for row in rows],
        )

    def _best_model(self) -> nn.Module:
        self.processes.wait()
        if self.config.select == "best_f1":
            self.state.load_best()
        return self.eval_model.eval()
