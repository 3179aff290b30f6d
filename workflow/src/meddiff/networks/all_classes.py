"""diffusers' UNet for all classes at once, with everything that does not depend on the class computed once.

The class enters a `UNet2DConditionModel` through cross-attention only. What comes before the first such
layer (the input convolution, blocks without attention; in the first block with it the first residual layer
and self-attention) and the embedding of the noise level are the same for all classes. Keys and values depend
on the class and not on the image (`meddiff.networks.attention.ClassCrossAttention`). The result is that of
one pass a class.
"""

from __future__ import annotations

import torch
from diffusers import Transformer2DModel, UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.unets.unet_2d_blocks import CrossAttnDownBlock2D
from torch import Tensor, nn

# Other ways in for the class or further inputs: none is used here, and none is computed below.
_MUST_BE_UNSET = ("addition_embed_type", "class_embed_type", "time_embedding_act_fn", "time_cond_proj_dim")


def can_share(unet: UNet2DConditionModel, height: int, width: int) -> bool:
    """Whether `unet_for_all_classes` knows all that `unet` computes for inputs of this size."""
    config = unet.config
    halvings = 2**unet.num_upsamplers
    return (
        all(config.get(name) is None for name in _MUST_BE_UNSET)
        and config.encoder_hid_dim_type in (None, "text_proj")
        and not config.center_input_sample
        and unet.mid_block is not None
        # Other sizes make the library hand the size of every skip connection to the upsampling layers.
        and height % halvings == 0
        and width % halvings == 0
    )


def unet_for_all_classes(unet: UNet2DConditionModel, z: Tensor, level: Tensor, tokens: Tensor) -> Tensor:
    """Output of `unet` for every class.

    Args:
        unet: for which `can_share` holds, its cross-attention made ready by
            `meddiff.networks.attention.attend_by_class`.
        z: [N, C, H, W].
        level: [N], its timestep input.
        tokens: [K, L, D], what the cross-attention of each class looks at.

    Returns:
        [K, N, C, H, W].
    """
    classes = len(tokens)
    emb = unet.time_embedding(unet.get_time_embed(sample=z, timestep=level))
    tokens = unet.process_encoder_hidden_states(encoder_hidden_states=tokens, added_cond_kwargs=None)
    hidden = unet.conv_in(z)
    skips = [hidden]
    by_class = False
    for block in unet.down_blocks:
        if not _has_cross_attention(block):
            hidden, outputs = block(hidden_states=hidden, temb=emb)
        elif by_class:
            hidden, outputs = block(hidden_states=hidden, temb=emb, encoder_hidden_states=tokens)
        else:
            hidden, outputs = _first_with_attention(block, hidden, emb, tokens)
            emb, by_class = repeat(emb, classes), True
        skips += outputs
    if not by_class:
        hidden, emb = repeat(hidden, classes), repeat(emb, classes)
    if _has_cross_attention(unet.mid_block):
        hidden = unet.mid_block(hidden, emb, encoder_hidden_states=tokens)
    else:
        hidden = unet.mid_block(hidden, emb)
    for block in unet.up_blocks:
        count = len(block.resnets)
        own = tuple(skip if len(skip) == len(hidden) else repeat(skip, classes) for skip in skips[-count:])
        del skips[-count:]
        context = {"encoder_hidden_states": tokens} if _has_cross_attention(block) else {}
        hidden = block(hidden_states=hidden, temb=emb, res_hidden_states_tuple=own, **context)
    if unet.conv_norm_out:
        hidden = unet.conv_act(unet.conv_norm_out(hidden))
    return unet.conv_out(hidden).unflatten(0, (classes, len(z)))


def repeat(x: Tensor, classes: int) -> Tensor:
    """[N, ...] to [K * N, ...], class by class; unlike `Tensor.repeat` it keeps the memory format."""
    return torch.cat([x] * classes)


def _has_cross_attention(block: nn.Module) -> bool:
    return bool(getattr(block, "has_cross_attention", False))


def _first_with_attention(
    block: CrossAttnDownBlock2D, hidden: Tensor, emb: Tensor, tokens: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The forward pass of `block` on an input [N, ...] that is the same for all classes, [K * N, ...]."""
    hidden = _first_attention(block.attentions[0], block.resnets[0](hidden, emb), tokens)
    emb = repeat(emb, len(tokens))
    outputs = [hidden]
    for resnet, attention in zip(block.resnets[1:], block.attentions[1:], strict=True):
        hidden = attention(resnet(hidden, emb), encoder_hidden_states=tokens, return_dict=False)[0]
        outputs.append(hidden)
    for layer in block.downsamplers or ():
        hidden = layer(hidden)
        outputs.append(hidden)
    return hidden, outputs


def _first_attention(attention: Transformer2DModel, hidden: Tensor, tokens: Tensor) -> Tensor:
    """The output of `attention` for every class, [K * N, ...], of an input [N, ...] that all share."""
    classes, first = len(tokens), attention.transformer_blocks[0]
    if not _begins_with_self_attention(first):
        return attention(repeat(hidden, classes), encoder_hidden_states=tokens, return_dict=False)[0]
    inputs, _, height, width = hidden.shape
    x, width_inside = attention._operate_on_continuous_inputs(hidden)
    x = repeat(first.attn1(first.norm1(x)) + x, classes)
    x = first.attn2(first.norm2(x), encoder_hidden_states=tokens) + x
    x = first.ff(first.norm3(x)) + x
    for block in attention.transformer_blocks[1:]:
        x = block(x, encoder_hidden_states=tokens)
    residual = repeat(hidden, classes)
    return attention._get_output_for_continuous_inputs(
        x, residual, classes * inputs, height, width, width_inside
    )


def _begins_with_self_attention(block: BasicTransformerBlock) -> bool:
    """Whether it is self-attention, cross-attention and a feed-forward network, each after a plain norm."""
    return (
        block.norm_type == "layer_norm"
        and block.pos_embed is None
        and not block.only_cross_attention
        and block.attn2 is not None
        and block._chunk_size is None
    )
