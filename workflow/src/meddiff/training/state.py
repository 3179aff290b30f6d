"""What a training has so far, and how it is saved and restored."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from meddiff.errors import CheckpointError
from meddiff.models.checkpoint import (
    TrainState,
    load_optimizer_tensors,
    load_state,
    load_tensors,
    load_weights,
    optimizer_tensors,
    save_state,
    save_weights,
    with_prefix,
    without_prefix,
)
from meddiff.training.ema import EMA
from meddiff.training.losses import Losses

log = logging.getLogger("meddiff")

STATE_FILE = "state.safetensors"


@dataclass
class History:
    """How far training has come.

    Attributes:
        step: finished optimizer steps.
        best_f1, best_epoch: best validation F1 so far (the first to reach it) and its epoch.
        epochs: one record a finished epoch (epoch, step, lr, loss; f1 and accuracy where validated).
        seconds: time spent training, over all processes and restarts.
    """

    step: int = 0
    best_f1: float = -1.0
    best_epoch: int = -1
    epochs: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class TrainingState:
    """Everything that changes while training; the same on all processes of a run.

    Attributes:
        folder: where it is saved; its name must identify params, code and data.
        model, ema, optimizer: in training; no average where `ema` is None.
        scaler: of mixed precision, or None.
        losses: of the current epoch's steps.
        history: how far training has come.
    """

    folder: Path
    model: nn.Module
    ema: EMA | None
    optimizer: torch.optim.Optimizer
    scaler: Any
    losses: Losses
    history: History = field(default_factory=History)

    @property
    def best_file(self) -> Path:
        """Where the weights of the best epoch so far are."""
        return self.folder / f"best-{self.history.best_epoch:06d}.safetensors"

    @property
    def averaged(self) -> nn.Module:
        """The model that is validated and released: the average where there is one."""
        return self.ema.model if self.ema else self.model

    def save(self) -> None:
        """Write the state, then remove best weights that it no longer names.

        Raises:
            CheckpointError: if it cannot be written; what was there before is still there.
        """
        tensors = {
            **with_prefix("model", self.model.state_dict()),
            **with_prefix("optimizer", optimizer_tensors(self.optimizer)),
            "loss_sum": self.losses.sum,
            "skips": self.losses.skips,
        }
        if self.ema:
            tensors |= with_prefix("ema", self.ema.model.state_dict())
        values = {**vars(self.history), "scaler": self.scaler.state_dict() if self.scaler else None}
        save_state(self.folder / STATE_FILE, TrainState(tensors, values))
        for old in self.folder.glob("best-*.safetensors"):
            if old != self.best_file:
                old.unlink()

    def save_best(self) -> None:
        """Keep the weights of this epoch. The state that names them is saved after them."""
        save_weights(self.best_file, self.averaged)

    def load_best(self) -> None:
        """Go back to the weights of the best epoch.

        Raises:
            CheckpointError: if they are missing or damaged.
        """
        try:
            load_weights(self.best_file, self.averaged)
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}. They are those of epoch {self.history.best_epoch}, which is over: delete the "
                f"folder {self.folder} to train from the start"
            ) from error

    def restore(self) -> None:
        """Go on from what `save` wrote, if there is anything.

        Raises:
            CheckpointError: if it is damaged, or of another model.
        """
        path = self.folder / STATE_FILE
        state = load_state(path)
        if state is None:
            return
        load_tensors(path, without_prefix("model", state.tensors), self.model)
        if self.ema:
            load_tensors(path, without_prefix("ema", state.tensors), self.ema.model)
        try:
            load_optimizer_tensors(self.optimizer, without_prefix("optimizer", state.tensors))
            self.losses.sum.copy_(state.tensors["loss_sum"])
            self.losses.skips.copy_(state.tensors["skips"])
            scaler = state.values.pop("scaler")
            self.history = History(**state.values)
        except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path}: is not the state of this training ({error!r}); delete it to start again"
            ) from error
        if scaler and self.scaler:
            self.scaler.load_state_dict(scaler)
        log.info("resuming after step %d from %s", self.history.step, self.folder)
