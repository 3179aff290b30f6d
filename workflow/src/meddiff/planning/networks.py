"""Floating-point operations and parameters of networks, counted without memory for their weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from meddiff.config import parse_model
from meddiff.config.schema.kinds.stable_diffusion import StableDiffusionConfig
from meddiff.config.schema.model import AnyModel
from meddiff.models.kinds import build_model, network_input, with_pretrained_architecture
from meddiff.planning.architectures import STABLE_DIFFUSION_2_BASE, TINY_STABLE_DIFFUSION


@dataclass(frozen=True)
class NetworkCost:
    """What one network costs.

    Attributes:
        forward: FLOPs (two a multiply-accumulate) of one network input.
        encode, decode: FLOPs of bringing one image to the space of the diffusion, and back.
        trained: parameters that are trained.
        stored: numbers in its weights file.
        map_pixels: of an evidence map; 0 for a network that has none.
    """

    forward: float
    encode: float
    decode: float
    trained: int
    stored: int
    map_pixels: int


def with_architecture(model: AnyModel, pretrained_dir: Path) -> tuple[AnyModel, bool]:
    """`model` with its architecture, and whether that was looked up in its pretrained folder or is given.

    Args:
        model: resolved configuration; Stable Diffusion has its architecture from the pretrained folder.
        pretrained_dir: that folder; where it is not here yet, the published architecture is taken.
    """
    if not isinstance(model, StableDiffusionConfig) or model.architecture:
        return model, True
    if (pretrained_dir / "manifest.json").is_file():
        return with_pretrained_architecture(model, pretrained_dir), True
    generated = hasattr(model.pretrained, "generate")
    known = TINY_STABLE_DIFFUSION if generated else STABLE_DIFFUSION_2_BASE
    return model.model_copy(update={"architecture": known}), generated


def network_cost(model: AnyModel, num_classes: int, channels: int, image_size: int) -> NetworkCost:
    """Count the operations of a network.

    Args:
        model: resolved configuration, with its architecture.
        num_classes, channels, image_size: shape of its problem.

    Raises:
        ConfigError: if the library refuses the architecture.
    """
    # By content: two seeds of one model are one network.
    text = json.dumps(model.model_dump(mode="json"), sort_keys=True)
    return _network_cost(text, num_classes, channels, image_size)


@cache
def _network_cost(model: str, num_classes: int, channels: int, image_size: int) -> NetworkCost:
    with torch.device("meta"):
        network = build_model(parse_model(json.loads(model)), num_classes, channels, image_size).eval()
        image = torch.empty(1, channels, image_size, image_size)
        forward = _flops(network, *network_input(network, image))
        encode = _flops(network.encode, image) if hasattr(network, "encode") else 0
        decode = (
            _flops(network.decode, torch.empty(1, *network.input_shape)) if hasattr(network, "decode") else 0
        )
        # One image, whatever its channels: these are summed.
        pixels = (
            network.residual_image(torch.empty(1, *network.input_shape))[0, 0].numel()
            if hasattr(network, "residual_image")
            else 0
        )
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    stored = sum(t.numel() for t in network.state_dict().values())
    return NetworkCost(forward, encode, decode, trained, stored, pixels)


def training_passes(model: AnyModel, factor: float) -> float:
    """Cost of a training step in forward passes: `factor`, and one more with gradient checkpointing."""
    return factor + bool(getattr(model, "gradient_checkpointing", False))


def _flops(function: Callable[..., object], *arguments: Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function(*arguments)
    return counter.get_total_flops()
