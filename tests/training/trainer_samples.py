"""Trainers of tiny models, and a task whose validation results are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core_samples import ARCHITECTURES, SIDE, tiny_config
from meddiff.diffusion.pixels import in_unit_range
from meddiff.models.kinds import build_model, build_task
from meddiff.training.trainer import Trainer

SEED = 3
STEPS_PER_EPOCH = 3  # 20 images in batches of 8
TRAIN = {"epochs": 3, "validate_every": 2}  # validated after steps 6 and 9
# Each network with the randomness that is hardest to resume: dropout of its own.
CONFIGS = {
    "unet": tiny_config(
        "unet", "official", train=TRAIN, architecture={**ARCHITECTURES["unet"], "dropout": 0.2}
    ),
    "dit": tiny_config("dit", "official", train=TRAIN, block_label_dropout=0.3),
    "timm": tiny_config("timm", train=TRAIN),
}


def trainer(config: Any, state_dir: Path, task: Any = None) -> Trainer:
    torch.manual_seed(SEED)
    model = build_model(config, 2, 1, SIDE)
    return Trainer(model, task or build_task(config, SEED), config.train, SEED, state_dir)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


class Scripted:
    """A task whose validation results are given; the loss is a toy."""

    def __init__(self, predictions: list[np.ndarray]) -> None:
        self.predictions = iter(predictions)
        self.models: list[dict[str, Tensor]] = []

    def loss(self, model, images, labels, keys, steps):
        return model(in_unit_range(images)).square().sum(dim=1)

    def classify(self, model, store, on_batch):
        self.models.append(weights(model))
        return next(self.predictions)
