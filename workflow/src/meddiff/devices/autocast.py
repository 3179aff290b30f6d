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


def training_precision(mixed_precision: str, device: torch.device) -> str:
    """What a training with this setting really computes in: ``fp32``, ``fp16`` or ``bf16``.

    Args:
        mixed_precision: ``no``, ``fp16`` or ``bf16`` (`meddiff.config.schema.training.TrainConfig`).
        device: where it runs. accelerate ignores fp16 on a CPU.
    """
    if mixed_precision == "no" or (mixed_precision == "fp16" and device.type == "cpu"):
        return "fp32"
    return mixed_precision
