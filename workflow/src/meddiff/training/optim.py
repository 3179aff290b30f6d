"""Optimizer, learning-rate schedule and order of batches: pure functions of the configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import nn

from meddiff.config.schema.training import TrainConfig

_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
_FUSED_ON = {"cpu", "cuda"}


def build_optimizer(parameters: Iterable[nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """Adam (weight decay as an L2 penalty) or AdamW (decoupled), betas .9 and .999.

    Args:
        parameters: on their device; those that need no gradient are left out.
        config: kind, learning rate and weight decay.
    """
    kind = _OPTIMIZERS[config.optimizer]
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    # One kernel for all parameters; a gradient scaler need not ask the GPU whether to skip a step.
    fused = all(parameter.device.type in _FUSED_ON for parameter in trained)
    return kind(
        trained,
        lr=config.lr,
        betas=(0.9, 0.999),
        weight_decay=config.weight_decay,
        fused=fused,
        foreach=not fused,
    )


def lr_factor(step: int, warmup_steps: int, total_steps: int, kind: str = "cosine") -> float:
    """Factor of the learning rate after `step` finished steps.

    Linear warm-up, then a cosine to 0 (the same values as
    ``diffusers.optimization.get_cosine_schedule_with_warmup``) or, for the kind ``constant``, 1.
    """
    if step < warmup_steps:
        return step / warmup_steps
    if kind == "constant":
        return 1.0
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def epoch_batches(
    images: int, batch_size: int, seed: int, epoch: int, labels: np.ndarray | None = None
) -> list[np.ndarray]:
    """Rows of every batch of an epoch, drawn from (seed, epoch); the last batch is kept if short.

    Without `labels` a permutation. With them an epoch is as long, but of every class there are as many images
    (up to one): of a frequent class a part is drawn anew for each epoch, and those of a rare one come several
    times, none twice before all have come as often.

    Args:
        images: number of training images.
        batch_size: global batch size.
        seed: training seed.
        epoch: counted from 0.
        labels: int64 [images], class indices, for as many images of each class that has some.

    Returns:
        ceil(images / batch_size) int64 arrays that together hold every row once or, with `labels`, as said.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    if labels is None:
        order = generator.permutation(images)
    else:
        order = generator.permutation(_of_every_class(labels, generator))
    return [order[start : start + batch_size] for start in range(0, images, batch_size)]


def _of_every_class(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """As many rows of every class (up to one) as make the length of `labels`, in no useful order."""
    present = generator.permutation(np.unique(labels))  # who gets one more is drawn, too
    shares = np.array_split(np.arange(len(labels)), len(present))
    rows = []
    for one, share in zip(present, shares, strict=True):
        own = np.flatnonzero(labels == one)
        rounds = -(-len(share) // len(own))
        rows.append(np.concatenate([generator.permutation(own) for _ in range(rounds)])[: len(share)])
    return np.concatenate(rows)


def order(
    images: int, batch_size: int, seed: int, steps: range, labels: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Rows of the batch of every optimizer step in `steps` (see `epoch_batches`)."""
    batches: list[np.ndarray] = []
    for step in steps:
        epoch, index = divmod(step, -(-images // batch_size))
        if not batches or index == 0:
            batches = epoch_batches(images, batch_size, seed, epoch, labels)
        yield batches[index]
