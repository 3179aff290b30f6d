"""How attention is computed in diffusers' networks: by which kernel, and for all classes at once.

`ModelMixin.set_attention_backend` reaches processors that call diffusers' dispatcher; that of
UNet2DConditionModel and DiTTransformer2DModel calls PyTorch directly. `DispatchedAttention` is the same
computation through the dispatcher.
"""

from __future__ import annotations

import torch
from diffusers.models.attention_dispatch import (
    AttentionBackendName,
    _check_attention_backend_requirements,
    dispatch_attention_fn,
)
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn
from torch.nn import functional

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


class ClassCrossAttention:
    """Attention processor that also takes tokens of K classes, [K, L, D], for K * N inputs, class by class.

    Keys and values are then made once a class and not once an input. A single token needs no queries and
    keys: whatever they are, all the attention goes to it. Other inputs are left to the processor before.
    """

    def __init__(self, inner: AttnProcessor2_0 | DispatchedAttention) -> None:
        self.inner = inner

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Attend from `hidden_states` [K * N, P, C]; [K * N, P, C], or [K * N, 1, C] where that is the same
        for all positions."""
        tokens = encoder_hidden_states
        if tokens is None or (len(tokens) == len(hidden_states) and tokens.shape[1] > 1):
            return self.inner(attn, hidden_states, tokens, attention_mask, temb)
        inputs = len(hidden_states) // len(tokens)
        value = attn.to_v(tokens)
        if tokens.shape[1] == 1:
            output = attn.to_out[1](attn.to_out[0](value))
            return output.repeat_interleave(inputs, dim=0) if inputs > 1 else output
        # All inputs of a class form one long sequence of queries.
        query = attn.to_q(hidden_states).unflatten(0, (len(tokens), inputs)).flatten(1, 2)
        query, key, value = (x.unflatten(-1, (attn.heads, -1)) for x in (query, attn.to_k(tokens), value))
        attended = attn.to_out[1](attn.to_out[0](self._attend(query, key, value).flatten(2)))
        return attended.unflatten(1, (inputs, -1)).flatten(0, 1)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        backend = getattr(self.inner, "_attention_backend", None)
        if backend is not None:
            return dispatch_attention_fn(query, key, value, backend=backend)
        swapped = (x.transpose(1, 2) for x in (query, key, value))
        return functional.scaled_dot_product_attention(*swapped).transpose(1, 2)


def attend_by_class(module: nn.Module) -> None:
    """Let all plain cross-attention layers of `module` take the tokens of classes (`ClassCrossAttention`)."""
    for layer in module.modules():
        if isinstance(layer, Attention) and layer.is_cross_attention and _is_plain(layer):
            layer.set_processor(ClassCrossAttention(layer.processor))


def freeze_queries(module: nn.Module) -> None:
    """Freeze what only makes queries and keys for `ClassCrossAttention`, in networks with a single token.

    Nothing depends on these weights, so that they have no gradient, which distributed training asks of all
    that are not frozen.
    """
    for block in module.modules():
        layer = getattr(block, "attn2", None)
        if layer is not None and isinstance(layer.processor, ClassCrossAttention):
            for unused in (block.norm2, layer.to_q, layer.to_k):
                unused.requires_grad_(False)


def attends_by_class(module: nn.Module) -> bool:
    """Whether all cross-attention layers of `module` take the tokens of classes."""
    return all(
        isinstance(layer.processor, ClassCrossAttention)
        for layer in module.modules()
        if isinstance(layer, Attention) and layer.is_cross_attention
    )


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
        if not isinstance(layer, Attention):
            continue
        by_class = isinstance(layer.processor, ClassCrossAttention)
        processor = layer.processor.inner if by_class else layer.processor
        if not isinstance(processor, AttnProcessor2_0):
            continue
        plain = layer.norm_q is None and layer.norm_k is None and layer.group_norm is None
        if backend is not None and plain and layer.inner_dim // layer.heads <= _LARGEST_HEAD:
            processor = DispatchedAttention(backend)
            layer.set_processor(ClassCrossAttention(processor) if by_class else processor)
            changed += 1
    return changed


def _is_plain(layer: Attention) -> bool:
    """Whether a cross-attention layer is nothing but queries, keys, values and an output."""
    norms = (layer.spatial_norm, layer.group_norm, layer.norm_q, layer.norm_k, layer.norm_cross)
    return (
        not any(norms)
        and not layer.residual_connection
        and layer.rescale_output_factor == 1
        and isinstance(layer.processor, AttnProcessor2_0)
    )


def _obstacle_to_flash(device: torch.device, precision: str) -> str | None:
    if device.type != "cuda":
        return f"it needs an NVIDIA card, the device is {device.type}"
    if torch.cuda.get_device_capability(device) < _SMALLEST_CAPABILITY:
        return f"it needs an Ampere card or newer, this is {torch.cuda.get_device_name(device)}"
    if precision not in ("fp16", "bf16"):
        return f"it needs half precision, this is {precision}"
    try:
        # Whether the package is there says too little: diffusers loads some versions only.
        _check_attention_backend_requirements(AttentionBackendName.FLASH)
    except RuntimeError as error:
        return f"diffusers does not find a flash-attn that it can use (envs/requirements-flash.txt): {error}"
    return None
