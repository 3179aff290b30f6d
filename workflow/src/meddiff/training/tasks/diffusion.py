"""How diffusion classifiers are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from meddiff.config.schema.kinds.base import DiffusionBase
from meddiff.data.stores.store import Store
from meddiff.devices.autocast import training_precision
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.majority_rule import MajorityRule
from meddiff.diffusion.objective import training_loss
from meddiff.diffusion.vote import majority
from meddiff.errors import MeddiffError
from meddiff.scoring.passes import Passes
from meddiff.scoring.score import score
from meddiff.scoring.settings import ScoringSettings
from meddiff.training.tasks.class_weights import class_weights


class DiffusionTask:
    """Training loss and validation of a diffusion classifier."""

    def __init__(self, config: DiffusionBase, seed: int, counts: Sequence[int] | None = None) -> None:
        """Prepare for training images of which there are `counts` of each class (for balanced weights)."""
        self.config, self.seed = config, seed
        self._weights = class_weights(config.class_weights, counts)

    def loss(self, model: Denoiser, images: Tensor, labels: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
        """See `meddiff.diffusion.objective.training_loss`; times the weight of the image's class.

        Of an image whose label is dropped as well: so the density without a class is that of the weighted
        mix, which it is where the sampler draws images of a class as often.
        """
        losses = training_loss(
            model,
            images,
            labels,
            keys,
            steps,
            label_dropout=self.config.label_dropout,
            weight=self.config.loss_weight,
        )
        if self._weights is None:
            return losses
        if self._weights.device != labels.device:
            self._weights = self._weights.to(labels.device)
        return losses * self._weights[labels]

    def classify(self, model: Denoiser, store: Store, on_batch: Callable[[], None]) -> np.ndarray:
        """Majority vote over `validation_steps` noise levels, the same ones at every validation.

        The network computes in the precision of the training: its attention may know no other
        (FlashAttention has no fp32), and full precision would take several times as long.

        An image is done when its majority of all steps is certain, so classes are those of all steps.
        """
        steps, mixed = self.config.validation_steps, self.config.train.mixed_precision
        rule = MajorityRule(steps)
        precision = training_precision(mixed, next(model.parameters()).device)
        errors = score(
            Passes(model, self.config.train.batch_size, "validating"),
            store.images,
            store.image_ids,
            ScoringSettings(self.seed, steps, precision=precision, stopping=rule),
            on_batch=lambda errors: on_batch(),
        ).errors
        needed = np.arange(steps) < rule.wanted(errors, np.full(len(errors), steps))[:, None]
        if not np.isfinite(errors[needed]).all():
            raise MeddiffError(
                "validation: the predicted noise is NaN or infinite, training has diverged; lower train.lr"
                + (", or set train.mixed_precision to 'bf16' or 'no'" if mixed == "fp16" else "")
            )
        return majority(errors)
