"""A trained model as it is used: its network with its weights, on a device."""

from __future__ import annotations

from pathlib import Path

import torch

from meddiff.config.schema.compute import DEFAULT_COMPUTE, ComputeConfig
from meddiff.models.checkpoint import load_weights
from meddiff.models.spec import WEIGHTS, ModelSpec, read_spec
from meddiff.networks.prepare import compile_network, prepare_network


def load_model(
    weights_dir: Path,
    device: torch.device,
    compute: ComputeConfig = DEFAULT_COMPUTE,
    precision: str = "fp32",
) -> tuple[torch.nn.Module, ModelSpec]:
    """Build the model that `weights_dir` describes and load its weights, in eval mode on `device`.

    Args:
        weights_dir: folder with weights and their configuration.
        device: where it will run.
        compute: attention kernel, memory format, compilation.
        precision: what it will run in (``fp32``, ``fp16``, ``bf16``); decides which kernels are possible.

    Raises:
        CheckpointError: if a file is missing or does not fit.
    """
    spec = read_spec(weights_dir)
    module = spec.build()
    load_weights(weights_dir / WEIGHTS, module)
    prepare_network(module, compute, device, precision)
    compile_network(module, compute)
    return module.eval(), spec


def default_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """What kind of device it is, for records."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
