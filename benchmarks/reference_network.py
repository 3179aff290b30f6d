"""The network as diffusers has it, without what meddiff changes in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import nn

from meddiff.config.schema.kinds.unet import UNetConfig
from meddiff.models.checkpoint import load_weights
from meddiff.models.kinds import build_model
from meddiff.models.spec import WEIGHTS, read_spec

Network = TypeVar("Network", bound=nn.Module)


def plain(network: Network) -> Network:
    """`network` with diffusers' own attention in all layers and nothing frozen; changed in place.

    It computes the same, but queries and keys also where there is a single token to attend to.
    """
    for layer in network.modules():
        if isinstance(layer, Attention):
            layer.set_processor(AttnProcessor2_0())
    return network.requires_grad_(True)


@cache
def trained(weights_dir: Path) -> nn.Module:
    """The network in the workflow's folder `weights_dir`, plain, on the CPU in eval mode."""
    network = read_spec(weights_dir).build()
    load_weights(weights_dir / WEIGHTS, network)
    return plain(network).eval()


def untrained(config: UNetConfig, size: int, seed: int) -> nn.Module:
    """A network for grey images of two classes and `size` px, as meddiff builds it."""
    torch.manual_seed(seed)
    return build_model(config, num_classes=2, channels=1, image_size=size)
