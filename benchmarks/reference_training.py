"""The paper's recipe of training as a plain script: what meddiff's training step is measured against.

The network, its loss weight, batch size and settings are meddiff's; all else is what one would write down:
images decoded and transformed one by one by a `DataLoader`, noise from ``torch.randn``, Adam as it comes, a
loop over all weights for their average, and the loss read at every step.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator

import torch
from diffusers.optimization import get_cosine_schedule_with_warmup
from torch import Tensor
from torch.utils.data import DataLoader

from meddiff.config.schema.kinds.unet import UNetConfig
from meddiff.diffusion.objective import loss_weight
from meddiff.networks.pixel_denoiser import PixelDenoiser
from reference_data import ImageFiles
from reference_network import plain, untrained

_begun: dict[str, Iterator[float]] = {}  # trainings that `begin` began


def batches(images: ImageFiles, batch_size: int, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and labels, epoch after epoch, without end."""
    loader = DataLoader(
        images, batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0, drop_last=True
    )
    while True:
        yield from loader


def train(
    model: PixelDenoiser,
    config: UNetConfig,
    data: Iterator[tuple[Tensor, Tensor]],
    total_steps: int,
) -> Iterator[float]:
    """Train on the CPU; the loss of each step as it is made."""
    settings = config.train
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr)
    schedule = get_cosine_schedule_with_warmup(optimizer, settings.warmup_steps, total_steps)
    average = copy.deepcopy(model).eval().requires_grad_(False)
    model.train()
    for step in range(1, total_steps + 1):
        x, class_ids = next(data)
        dropped = torch.rand(len(x)) < config.label_dropout
        class_ids = torch.where(dropped, torch.full_like(class_ids, model.null_class), class_ids)
        logsnr = model.schedule.logsnr(torch.rand(len(x)))
        alpha, sigma = (torch.sigmoid(s * logsnr).sqrt().reshape(-1, 1, 1, 1) for s in (1, -1))
        eps = torch.randn_like(x)
        eps_hat = model.predict_eps(alpha * x + sigma * eps, logsnr, class_ids)
        weight = loss_weight(logsnr, config.loss_weight, model.prediction)
        loss = (weight * (eps_hat - eps).square().flatten(1).mean(dim=1)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % settings.ema.update_every == 0:
            _follow(average, model, step, config)
        yield loss.item()


@torch.no_grad()
def _follow(average: PixelDenoiser, model: PixelDenoiser, step: int, config: UNetConfig) -> None:
    ema = config.train.ema
    age = step - ema.update_after_step
    decay = 0.0 if age <= 0 else min(ema.beta, 1 - (1 + age / ema.inv_gamma) ** -ema.power)
    weights = dict(model.named_parameters())
    for name, own in average.named_parameters():
        own.lerp_(weights[name], 1 - decay)
    buffers = dict(model.named_buffers())
    for name, own in average.named_buffers():
        own.copy_(buffers[name])


def begin(
    name: str,
    config: UNetConfig,
    images: ImageFiles,
    size: int,
    seed: int,
    workers: int,
    total_steps: int,
) -> None:
    """Make ready to train a fresh network, whose steps `seconds_a_step` then makes."""
    network = plain(untrained(config, size, seed))
    _begun[name] = train(network, config, batches(images, config.train.batch_size, workers), total_steps)


def seconds_a_step(name: str, count: int) -> float:
    """Mean wall-clock time of the next `count` steps of the training `name`."""
    started = time.perf_counter()
    for _ in itertools.islice(_begun[name], count):
        pass
    return (time.perf_counter() - started) / count
