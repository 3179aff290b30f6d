"""Weights are numbers: NaN is found where it comes from, not where it first shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from meddiff.errors import CheckpointError


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that weights are numbers.

    Args:
        path: where they come from, for messages.

    Raises:
        CheckpointError: naming the tensors with values that are NaN or infinite.
    """
    bad = [
        f"{name} ({count} of {tensor.numel()})"
        for name, tensor in tensors.items()
        if (count := int((~torch.isfinite(tensor)).sum()))
    ]
    if bad:
        raise CheckpointError(
            f"{path}: values that are NaN or infinite in {len(bad)} tensors: {', '.join(bad[:5])}; nothing "
            "can be computed with these weights: fetch or train them again"
        )
