"""The network as diffusers has it, without what meddiff changes in it."""

from __future__ import annotations

from typing import TypeVar

from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def plain(network: Network) -> Network:
    """`network` with diffusers' own attention in all layers and nothing frozen; changed in place.

    It computes the same, but queries and keys also where there is a single token to attend to.
    """
    for layer in network.modules():
        if isinstance(layer, Attention):
            layer.set_processor(AttnProcessor2_0())
    return network.requires_grad_(True)
