"""Apply the `compute` settings to a network."""

from __future__ import annotations

import logging

import torch
from torch import nn

from meddiff.config.compute import ComputeConfig
from meddiff.diffusion.attention import choose_backend, set_attention

log = logging.getLogger("meddiff")

_PRECISIONS = {"no": "fp32"}


def prepare_network(
    module: nn.Module, compute: ComputeConfig, device: torch.device, precision: str
) -> nn.Module:
    """Set attention kernel, memory format and matrix precision; `compile_network` does the rest.

    Args:
        module: any network of this package; changed in place, and moved to `device`.
        compute: the settings.
        device: where it runs.
        precision: ``fp32`` (or ``no``), ``fp16`` or ``bf16``.

    Raises:
        ConfigError: if FlashAttention is asked for and not possible.
    """
    backend = choose_backend(compute.attention, device, _PRECISIONS.get(precision, precision))
    layers = set_attention(module, backend)
    if backend is not None:
        log.info("attention: %s in %d layers", backend.value, layers)
    # Explicit both ways: the default differs between versions of PyTorch.
    torch.backends.cuda.matmul.allow_tf32 = compute.tf32
    torch.backends.cudnn.allow_tf32 = compute.tf32
    module.to(device)
    return module.to(memory_format=torch.channels_last) if compute.channels_last else module


def compile_network(module: nn.Module, compute: ComputeConfig, backend: str = "inductor") -> None:
    """torch.compile the forward pass of `module` in place, if the settings say so; names stay as they are."""
    if compute.compile:
        module.compile(backend=backend)
