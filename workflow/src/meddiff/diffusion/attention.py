"""Which kernel computes attention in diffusers' networks.

`ModelMixin.set_attention_backend` reaches processors that call diffusers' dispatcher; that of
UNet2DConditionModel and DiTTransformer2DModel calls PyTorch directly. `DispatchedAttention` is the same
computation through the dispatcher.
"""

from __future__ import annotations

import importlib.util

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn

from meddiff.errors import ConfigError

# FlashAttention 2 needs an Ampere card or newer, half precision, and heads of at most 256 channels.
_SMALLEST_CAPABILITY = (8, 0)
_LARGEST_HEAD = 256


class DispatchedAttention:
    """Attention processor of diffusers' `Attention` layers that computes by a chosen backend."""

    def __init__(self, backend: AttentionBackendName) -> None:
        self._attention_backend = backend

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Attend from `hidden_states` [N, L, D] to `encoder_hidden_states` [N, M, E], or to themselves.

        Raises:
            NotImplementedError: for a mask, which the networks here never use.
        """
        if attention_mask is not None or hidden_states.ndim != 3:
            raise NotImplementedError("attention with a mask, or on images, is not dispatched")
        residual = hidden_states
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if attn.norm_cross and encoder_hidden_states is not None:
            context = attn.norm_encoder_hidden_states(context)
        query, key, value = (
            layer(source).unflatten(-1, (attn.heads, -1))
            for layer, source in ((attn.to_q, hidden_states), (attn.to_k, context), (attn.to_v, context))
        )
        attended = dispatch_attention_fn(query, key, value, backend=self._attention_backend)
        output = attn.to_out[1](attn.to_out[0](attended.flatten(2)))
        if attn.residual_connection:
            output = output + residual
        return output / attn.rescale_output_factor


def choose_backend(attention: str, device: torch.device, precision: str) -> AttentionBackendName | None:
    """The backend for a setting on a device; None leaves PyTorch's own attention.

    Args:
        attention: ``sdpa``; ``flash``; or ``auto``, which is flash where it is possible.
        device: where the network runs.
        precision: ``fp32``, ``fp16`` or ``bf16``.

    Raises:
        ConfigError: if ``flash`` is asked for and not possible; it says why.
    """
    if attention == "sdpa":
        return None
    obstacle = _obstacle_to_flash(device, precision)
    if obstacle is None:
        return AttentionBackendName.FLASH
    if attention == "flash":
        raise ConfigError(f"compute.attention: flash is not possible: {obstacle}; use 'auto' or 'sdpa'")
    return None


def set_attention(module: nn.Module, backend: AttentionBackendName | None) -> int:
    """Let the attention layers of `module` compute by `backend`; how many do.

    Layers with heads of more than 256 channels, or with normalised queries or keys, keep PyTorch's.
    """
    changed = 0
    for layer in module.modules():
        if not isinstance(layer, Attention) or not isinstance(layer.processor, AttnProcessor2_0):
            continue
        plain = layer.norm_q is None and layer.norm_k is None and layer.group_norm is None
        if backend is not None and plain and layer.inner_dim // layer.heads <= _LARGEST_HEAD:
            layer.set_processor(DispatchedAttention(backend))
            changed += 1
    return changed


def _obstacle_to_flash(device: torch.device, precision: str) -> str | None:
    if device.type != "cuda":
        return f"it needs an NVIDIA card, the device is {device.type}"
    if torch.cuda.get_device_capability(device) < _SMALLEST_CAPABILITY:
        return f"it needs an Ampere card or newer, this is {torch.cuda.get_device_name(device)}"
    if precision not in ("fp16", "bf16"):
        return f"it needs half precision, this is {precision}"
    if importlib.util.find_spec("flash_attn") is None:
        return "the package flash-attn is not installed (pip install -r envs/requirements-flash.txt)"
    return None
