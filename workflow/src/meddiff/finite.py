"""Weights are numbers: NaN is found where it comes from, not where it first shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from meddiff.errors import CheckpointError


def check_finite(
    path: Path, tensors: Mapping[str, Tensor], known: Mapping[str, Tensor] | None = None
) -> None:
    """Check that weights are numbers.

    Args:
        path: where they come from, for messages.
        tensors: name -> tensor.
        known: those of a model before loading. A library may keep constants with the weights, such as a mask
            of -inf: what is not finite there need not be.

    Raises:
        CheckpointError: naming the tensors with values that are NaN or infinite.
    """
    bad = [
        f"{name} ({int((~torch.isfinite(tensor)).sum())} of {tensor.numel()})"
        for name, tensor in tensors.items()
        if not _is_finite(tensor) and (known is None or _is_finite(known[name]))
    ]
    if bad:
        raise CheckpointError(
            f"{path}: values that are NaN or infinite in {len(bad)} tensors: {', '.join(bad[:5])}; nothing "
            "can be computed with these weights: fetch or train them again"
        )


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    # The least value is NaN where any is. Quicker than to ask every value.
    return bool(torch.isfinite(torch.stack(torch.aminmax(tensor))).all())
