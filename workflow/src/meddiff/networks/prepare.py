"""Apply the `compute` settings to a network."""

from __future__ import annotations

import logging

import torch
from torch import nn

from meddiff.config.schema.compute import ComputeConfig
from meddiff.devices.host_memory import keep_freed_memory
from meddiff.networks.attention import choose_backend, set_attention

log = logging.getLogger("meddiff")

_PRECISIONS = {"no": "fp32"}


def prepare_network(
    module: nn.Module, compute: ComputeConfig, device: torch.device, precision: str
) -> nn.Module:
    """Set attention kernel, memory format and matrix precision; `compile_network` does the rest.

    On a CPU the process also keeps the memory it frees from now on.

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
    on_cpu = device.type == "cpu"
    if on_cpu:
        keep_freed_memory()
    channels_last = compute.channels_last
    if channels_last == "auto":
        # On a CPU PyTorch takes ten times as long for group norms in channels_last.
        channels_last = is_convolutional(module) and not (on_cpu and _has_group_norms(module))
    return module.to(memory_format=torch.channels_last) if channels_last else module


def _has_group_norms(module: nn.Module) -> bool:
    return any(isinstance(layer, nn.GroupNorm) for layer in module.modules())


def is_convolutional(module: nn.Module) -> bool:
    """Whether it has convolutions whose windows overlap, unlike those that cut an image into patches."""
    convolutions = (layer for layer in module.modules() if isinstance(layer, nn.Conv2d))
    return any(layer.kernel_size[0] > layer.stride[0] for layer in convolutions)


def compile_network(module: nn.Module, compute: ComputeConfig, backend: str = "inductor") -> None:
    """torch.compile `module` in place, if the settings say so; names of its weights stay as they are.

    With CUDA graphs an output is overwritten by the next call: use it, or copy it, before.
    """
    if compute.compile != "no":
        module.compile(backend=backend, mode=compute.compile)
