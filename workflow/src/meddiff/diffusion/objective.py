"""The training objective of diffusion models, and their validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from meddiff.config.schema.model import DiffusionBase
from meddiff.data.stores.store import Store
from meddiff.devices.autocast import training_precision
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.majority_rule import MajorityRule
from meddiff.diffusion.noise import (
    STREAM_EPS,
    STREAM_LABEL_DROPOUT,
    STREAM_T,
    normal,
    uniform,
)
from meddiff.diffusion.schedule import alpha_sigma
from meddiff.diffusion.vote import majority
from meddiff.diffusion.weighting import loss_weight
from meddiff.errors import MeddiffError
from meddiff.scoring.score import score


def diffusion_loss(
    denoiser: Denoiser, x: Tensor, class_ids: Tensor, t: Tensor, eps: Tensor, weight: str
) -> Tensor:
    """Weighted squared error of the predicted noise, one value an image.

    Args:
        denoiser: the network (or a wrapper with the same call).
        x: encoded images, [N, C, H, W].
        class_ids: int64 [N].
        t: [N], times in [0, 1].
        eps: the noise, shape of `x`.
        weight: ``min_snr``, ``official`` or ``uniform`` (see `meddiff.diffusion.weighting`).

    Returns:
        [N], fp32: w(logSNR) times the mean over all elements of (eps_hat - eps)^2.
    """
    logsnr = denoiser.training_logsnr(t)
    alpha, sigma = alpha_sigma(logsnr, x.ndim)
    eps_hat = denoiser.predict_eps(alpha * x + sigma * eps, logsnr, class_ids)
    squared_error = (eps_hat - eps).square().flatten(1).mean(dim=1)
    return loss_weight(logsnr, weight, denoiser.prediction) * squared_error


def drop_labels(class_ids: Tensor, keys: Tensor, steps: Tensor, share: float, null_class: int) -> Tensor:
    """Replace each label by `null_class` with probability `share`."""
    dropped = uniform(keys, steps, 1, STREAM_LABEL_DROPOUT)[:, 0] < share
    return torch.where(dropped, torch.full_like(class_ids, null_class), class_ids)


def training_loss(
    denoiser: Denoiser,
    config: DiffusionBase,
    images: Tensor,
    class_ids: Tensor,
    keys: Tensor,
    steps: Tensor,
) -> Tensor:
    """Loss of one batch with its noise drawn from (`keys`, `steps`).

    Args:
        images: fp32 [N, C, H, W] in [-1, 1], or as they are stored, uint8 [N, H, W, C].
        class_ids: int64 [N].
        keys: int64 [N, 2], one key a position of the global batch.
        steps: int64 [N], the optimizer step.

    Returns:
        [N], fp32.
    """
    x = denoiser.encode_for_training(images, keys, steps)
    t = uniform(keys, steps, 1, STREAM_T)[:, 0]
    eps = normal(keys, steps, x.shape[1:], STREAM_EPS)
    class_ids = drop_labels(class_ids, keys, steps, config.label_dropout, denoiser.null_class)
    return diffusion_loss(denoiser, x, class_ids, t, eps, config.loss_weight)


class DiffusionTask:
    """Training loss and validation of a diffusion classifier."""

    def __init__(self, config: DiffusionBase, seed: int, counts: Sequence[int] | None = None) -> None:
        """How many images there are of each class is not needed: every class has a density of its own."""
        self.config, self.seed = config, seed

    def loss(self, model: Denoiser, images: Tensor, labels: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
        """See `training_loss`."""
        return training_loss(model, self.config, images, labels, keys, steps)

    def classify(self, model: Denoiser, store: Store, on_batch: Callable[[], None]) -> np.ndarray:
        """Majority vote over `validation_steps` noise levels, the same ones at every validation.

        The network computes in the precision of the training: its attention may know no other
        (FlashAttention has no fp32), and full precision would take several times as long.

        An image is done when its majority of all steps is certain, so classes are those of all steps.
        """
        steps, mixed = self.config.validation_steps, self.config.train.mixed_precision
        rule = MajorityRule(steps)
        errors, _ = score(
            model,
            store.images,
            store.image_ids,
            seed=self.seed,
            steps=steps,
            batch_size=self.config.train.batch_size,
            precision=training_precision(mixed, next(model.parameters()).device),
            stopping=rule,
            on_batch=lambda errors: on_batch(),
            description="validating",
        )
        needed = np.arange(steps) < rule.wanted(errors, np.full(len(errors), steps))[:, None]
        if not np.isfinite(errors[needed]).all():
            raise MeddiffError(
                "validation: the predicted noise is NaN or infinite, training has diverged; lower train.lr"
                + (", or set train.mixed_precision to 'bf16' or 'no'" if mixed == "fp16" else "")
            )
        return majority(errors)
