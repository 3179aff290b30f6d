"""What the loss of an image is multiplied by, for its class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from meddiff.config.schema.kinds.base import ClassWeights
from meddiff.errors import ConfigError


def class_weights(wanted: ClassWeights, counts: Sequence[int] | None) -> Tensor | None:
    """Weights of the classes in the loss, fp32 [K]; None where all count alike.

    Balanced ones are images / (K * images of the class), scikit-learn's rule: their mean over the training
    images is 1. Others are taken as they are.

    Args:
        wanted: as the model's file says.
        counts: training images of each class; needed for balanced weights.

    Raises:
        ConfigError: if balanced weights are asked for without counts, or where a class has no image.
    """
    if wanted == "none":
        return None
    if wanted != "balanced":
        return torch.tensor(wanted, dtype=torch.float32)
    if counts is None:
        raise ConfigError("class_weights: balanced: needs the number of training images of each class")
    if 0 in counts:
        raise ConfigError(
            f"class_weights: balanced: there is no training image of class {list(counts).index(0)}; give a "
            "list of weights, or 'none'"
        )
    return torch.tensor([sum(counts) / (len(counts) * count) for count in counts], dtype=torch.float32)
