"""How baselines are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from meddiff.config.schema.kinds.timm import TimmConfig
from meddiff.data.stores.store import Store
from meddiff.devices.autocast import training_precision
from meddiff.diffusion.pixels import in_unit_range
from meddiff.networks.classifier import TimmClassifier, predict_logits
from meddiff.training.tasks.class_weights import class_weights


def classification_loss(
    model: nn.Module, images: Tensor, labels: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy, one value an image [N], fp32; times the weight of its class (`weights`, fp32 [K])."""
    return functional.cross_entropy(model(images).float(), labels, weights, reduction="none")


class TimmTask:
    """Training loss and validation of a baseline."""

    def __init__(self, config: TimmConfig, seed: int, counts: Sequence[int] | None = None) -> None:
        """Prepare for training images of which there are `counts` of each class (for balanced weights)."""
        self.config = config
        self._weights = class_weights(config.class_weights, counts)

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
        """See `classification_loss`."""
        if self._weights is not None and self._weights.device != labels.device:
            self._weights = self._weights.to(labels.device)
        return classification_loss(model, in_unit_range(images), labels, self._weights)

    def classify(self, model: TimmClassifier, store: Store, on_batch: Callable[[], None]) -> np.ndarray:
        """The most probable class, computed in the precision of the training."""
        train = self.config.train
        precision = training_precision(train.mixed_precision, next(model.parameters()).device)
        logits = predict_logits(model, store.images, train.batch_size, "validating", on_batch, precision)
        return logits.argmax(axis=1)
