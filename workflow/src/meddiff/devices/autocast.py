"""Lower precision for the bodies of networks."""

from __future__ import annotations

import torch

_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which networks compute in `precision`.

    Args:
        device: where they are.
        precision: ``fp16`` or ``bf16``; with any other (``fp32``, ``no``) nothing is cast.
    """
    dtype = _TYPES.get(precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)
