"""All classes in one pass: equal to one pass a class, with less computed."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor, nn

from core_samples import ARCHITECTURES, tiny_config
from meddiff.diffusion.denoiser import Denoiser
from meddiff.models.kinds import build_model
from meddiff.networks import unet as unet_module
from meddiff.networks.all_classes import can_share, unet_for_all_classes
from meddiff.networks.attention import attend_by_class, attends_by_class, freeze_queries
from scoring_samples import score_images

CLASSES, INPUTS, TOKEN_SIZE = 3, 5, 8
# Where the class enters: after blocks without it, in the first block, in the middle only.
LAYOUTS: dict[str, dict[str, Any]] = {
    "second block": {
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    },
    "every block": {
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "use_linear_projection": True,
    },
    "middle": {
        "down_block_types": ["DownBlock2D", "DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D", "UpBlock2D"],
    },
    "way up": {
        "down_block_types": ["DownBlock2D", "DownBlock2D", "DownBlock2D"],
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
    },
}


def build_unet(layout: str, layers: int = 2, **changes: Any) -> UNet2DConditionModel:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=layers,
        block_out_channels=[8, 8, 16],
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=TOKEN_SIZE,
        **LAYOUTS[layout] | changes,
    )
    attend_by_class(unet)
    return unet.eval()


def inputs(tokens: int, side: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(INPUTS, 4, side, side, generator=generator)
    return z, torch.linspace(-5, 5, INPUTS), torch.randn(CLASSES, tokens, TOKEN_SIZE, generator=generator)


def with_own_attention(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """A copy that computes as diffusers does, nothing frozen."""
    own = copy.deepcopy(unet).requires_grad_(True)
    own.set_attn_processor(AttnProcessor2_0())
    return own


def one_pass_a_class(unet: UNet2DConditionModel, z: Tensor, level: Tensor, tokens: Tensor) -> Tensor:
    unet = with_own_attention(unet)
    expanded = [own.expand(len(z), -1, -1) for own in tokens]
    return torch.stack([unet(z, level, encoder_hidden_states=own, return_dict=False)[0] for own in expanded])


def batch_sizes(module: nn.Module, run: Any) -> list[int]:
    """Batch sizes that `module` sees while `run` is called."""
    seen: list[int] = []
    with_hook = module.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    run()
    with_hook.remove()
    return seen


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tokens", [1, 4])
def test_output_is_that_of_one_pass_a_class(layout, tokens):
    unet, arguments = build_unet(layout), inputs(tokens)
    assert can_share(unet, 8, 8) and attends_by_class(unet)
    with torch.no_grad():
        expected, actual = one_pass_a_class(unet, *arguments), unet_for_all_classes(unet, *arguments)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_with_a_single_token_are_those_of_diffusers(layout):
    unet = build_unet(layout)
    freeze_queries(unet)
    own = with_own_attention(unet)
    z, level, tokens = inputs(1)
    tokens = tokens[[0, 1, 2, 1, 0]]
    for network in (unet, own):
        network(z, level, encoder_hidden_states=tokens, return_dict=False)[0].square().sum().backward()
    frozen = 0
    for (name, parameter), expected in zip(unet.named_parameters(), own.parameters(), strict=True):
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, expected.grad, rtol=1e-3, atol=1e-3, msg=name)
        else:
            frozen += 1
            assert expected.grad.abs().max() < 1e-3, name
    # The norm before, queries and keys of every layer that sees the token.
    assert frozen == 4 * sum(layer.is_cross_attention for layer in unet.modules() if hasattr(layer, "to_q"))


@pytest.mark.parametrize("changes", [{"only_cross_attention": True}, {"transformer_layers_per_block": 2}])
@pytest.mark.parametrize("tokens", [1, 4])
def test_other_attention_blocks_give_the_same(changes, tokens):
    unet, arguments = build_unet("every block", **changes), inputs(tokens)
    with torch.no_grad():
        expected, actual = one_pass_a_class(unet, *arguments), unet_for_all_classes(unet, *arguments)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_memory_format_is_kept(memory_format):
    unet, arguments = build_unet("second block").to(memory_format=memory_format), inputs(1)
    with torch.no_grad():
        expected, actual = one_pass_a_class(unet, *arguments), unet_for_all_classes(unet, *arguments)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    assert actual[0].is_contiguous(memory_format=memory_format)


def test_what_does_not_depend_on_the_class_is_computed_once():
    unet, arguments = build_unet("second block"), inputs(4)

    def run() -> None:
        with torch.no_grad():
            unet_for_all_classes(unet, *arguments)

    block = unet.down_blocks[1]
    assert batch_sizes(unet.conv_in, run) == [INPUTS]
    assert batch_sizes(unet.time_embedding, run) == [INPUTS]
    assert batch_sizes(unet.down_blocks[0].resnets[1], run) == [INPUTS]
    assert batch_sizes(block.resnets[0], run) == [INPUTS]
    assert batch_sizes(block.resnets[1], run) == [CLASSES * INPUTS]
    first, second = (attention.transformer_blocks[0] for attention in block.attentions)
    assert batch_sizes(first.attn1.to_q, run) == [INPUTS]
    assert batch_sizes(second.attn1.to_q, run) == [CLASSES * INPUTS]
    # Keys and values once a class, whatever the number of inputs.
    cross_attention = first.attn2
    assert batch_sizes(cross_attention.to_k, run) == [CLASSES]
    assert batch_sizes(cross_attention.to_q, run) == [CLASSES * INPUTS]


def test_a_single_token_needs_neither_queries_nor_keys():
    unet, arguments = build_unet("second block"), inputs(1)
    cross_attention = unet.down_blocks[1].attentions[0].transformer_blocks[0].attn2

    def run() -> None:
        with torch.no_grad():
            unet_for_all_classes(unet, *arguments)

    assert batch_sizes(cross_attention.to_v, run) == [CLASSES]
    assert batch_sizes(cross_attention.to_q, run) == batch_sizes(cross_attention.to_k, run) == []


@pytest.mark.parametrize(
    ("changes", "side"),
    [({"time_embedding_act_fn": "silu"}, 8), ({"class_embed_type": "timestep"}, 8), ({}, 6)],
)
def test_what_is_not_known_is_refused(changes, side):
    assert not can_share(build_unet("second block", **changes), side, side)


@pytest.mark.parametrize("shares", [True, False])
def test_unet_denoiser(shares, monkeypatch):
    """Also where the network is one that cannot share: then classes are stacked in the batch."""
    if not shares:
        monkeypatch.setattr(unet_module, "can_share", lambda *arguments: False)
    torch.manual_seed(0)
    model = build_model(tiny_config("unet"), CLASSES, 1, 8).eval()
    z, logsnr = torch.randn(INPUTS, *model.input_shape), torch.linspace(-5, 5, INPUTS)
    with torch.no_grad():
        expected = torch.stack([model(z, logsnr, torch.full((INPUTS,), c)) for c in range(CLASSES)])
        torch.testing.assert_close(model.for_all_classes(z, logsnr), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(Denoiser.for_all_classes(model, z, logsnr), expected, rtol=1e-5, atol=1e-5)
    seen = batch_sizes(model.backbone.conv_in, lambda: model.for_all_classes(z, logsnr))
    assert seen == [INPUTS if shares else CLASSES * INPUTS]


def test_a_compiled_network_sees_batches_of_one_size():
    """Whatever is left over: here 2 pairs of 14, after passes of 4."""
    shapes: set[tuple[int, ...]] = set()

    def backend(graph: torch.fx.GraphModule, example_inputs: list[Tensor]) -> Any:
        shapes.update(tuple(x.shape) for x in example_inputs if isinstance(x, Tensor) and x.ndim == 4)
        return graph.forward

    model = build_model(tiny_config("unet"), CLASSES, 1, 8).eval()
    images, names = np.zeros((2, 8, 8, 1), dtype=np.uint8), ["a", "b"]
    expected, _ = score_images(model, images, names, seed=0, steps=7, batch_size=4 * CLASSES)
    model.compile(backend=backend, dynamic=False)
    errors, _ = score_images(model, images, names, seed=0, steps=7, batch_size=4 * CLASSES)
    np.testing.assert_allclose(errors, expected, rtol=1e-5)
    batch_sizes_of_inputs = {shape[0] for shape in shapes if shape[1:] == model.input_shape}
    assert batch_sizes_of_inputs == {4}


def test_all_classes_are_compiled_with_the_network():
    """With a backend that only traces: what it is given is what would be compiled."""
    traced = []

    def backend(graph: torch.fx.GraphModule, example_inputs: Any) -> Any:
        traced.append(graph)
        return graph.forward

    model = build_model(tiny_config("unet", architecture=ARCHITECTURES["unet"]), CLASSES, 1, 8).eval()
    z, logsnr = torch.randn(INPUTS, *model.input_shape), torch.linspace(-5, 5, INPUTS)
    with torch.no_grad():
        expected = model.for_all_classes(z, logsnr)
        model.compile(backend=backend)
        torch.testing.assert_close(model.for_all_classes(z, logsnr), expected)
    assert traced
