"""The networks behind one contract: UNet and DiT, with the authors' faults on and off."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core_samples import ARCHITECTURES, SIDE, tiny_config
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.schedule import alpha_sigma, eps_from_v
from meddiff.errors import ConfigError
from meddiff.models.kinds import build_model

CLASSES = 2


def build(kind: str, preset: str = "fixed", **changes) -> Denoiser:
    torch.manual_seed(1)
    return build_model(tiny_config(kind, preset, **changes), CLASSES, 1, SIDE)


def inputs(model: Denoiser, n: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, *model.input_shape, generator=generator)
    return z, torch.linspace(-4, 4, n)


def output(model: Denoiser, class_id: int) -> Tensor:
    z, logsnr = inputs(model)
    with torch.no_grad():
        return model(z, logsnr, torch.full((len(z),), class_id))


@pytest.mark.parametrize(("kind", "preset"), [("unet", "fixed"), ("unet", "official"), ("dit", "official")])
def test_every_class_and_the_null_class_change_the_output(kind, preset):
    model = build(kind, preset).eval()
    outputs = [output(model, c) for c in (*range(CLASSES), model.null_class)]
    assert outputs[0].shape == inputs(model)[0].shape
    for i, one in enumerate(outputs):
        for other in outputs[i + 1 :]:
            assert (one - other).abs().max() > 1e-5


@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_logsnr_changes_the_output(kind):
    model = build(kind, "official").eval()
    z, logsnr = inputs(model)
    ids = torch.zeros(3, dtype=torch.int64)
    with torch.no_grad():
        assert (model(z, logsnr, ids) - model(z, logsnr + 1, ids)).abs().max() > 1e-5


@pytest.mark.parametrize("kind", ["unet", "dit"])
@pytest.mark.parametrize(("wavelet", "shape"), [(True, (12, 4, 4)), (False, (3, 8, 8))])
def test_input_shape(kind, wavelet, shape):
    model = build_model(tiny_config(kind, wavelet=wavelet), CLASSES, 3, SIDE)
    assert model.input_shape == shape
    images = torch.rand(2, 3, SIDE, SIDE) * 2 - 1
    x = model.encode(images)
    assert x.shape == (2, *shape)
    torch.testing.assert_close(model.decode(x), images)
    assert model(x, torch.zeros(2), torch.tensor([0, 1])).shape == x.shape


@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_predicted_noise_follows_from_what_the_network_predicts(kind):
    z, logsnr = inputs(build(kind))
    ids = torch.tensor([0, 1, 2])
    alpha, sigma = alpha_sigma(logsnr)
    with torch.no_grad():
        v = build(kind, "official").eval()
        torch.testing.assert_close(
            v.predict_eps(z, logsnr, ids), eps_from_v(v(z, logsnr, ids), z, alpha, sigma)
        )
        eps = build(kind, "official", prediction="epsilon").eval()
        torch.testing.assert_close(eps.predict_eps(z, logsnr, ids), eps(z, logsnr, ids))


def test_predicted_noise_is_fp32_from_a_half_precision_output():
    model = build("unet")
    z, logsnr = inputs(model)
    assert model.eps_from_output(z.bfloat16(), z, logsnr).dtype == torch.float32


def test_fixed_dit_starts_at_zero_and_learns_from_there():
    model = build("dit").train()
    for c in range(CLASSES + 1):
        assert output(model, c).abs().max() == 0
    z, logsnr = inputs(model)
    (model(z, logsnr, torch.tensor([0, 1, 2])) - z).square().mean().backward()
    assert model.backbone.proj_out_2.weight.grad.abs().max() > 0


@pytest.mark.parametrize("preset", ["fixed", "official"])
def test_label_dropout_inside_the_dit_is_the_authors_only(preset):
    changes = {"block_label_dropout": 0.5} if preset == "official" else {"adaln_zero_init": False}
    model = build("dit", preset, **changes)
    model.train()
    same = torch.equal(output(model, 0), output(model, 0))
    assert same == (preset == "fixed")
    model.eval()
    assert torch.equal(output(model, 0), output(model, 0))


@pytest.mark.parametrize(("preset", "rows"), [("fixed", CLASSES + 1), ("official", 1001)])
def test_rows_of_the_dit_s_label_tables(preset, rows):
    model = build("dit", preset)
    for block in model.backbone.transformer_blocks:
        embedder = block.norm1.emb.class_embedder
        assert embedder.embedding_table.num_embeddings == rows
        assert embedder.dropout_prob == (0.0 if preset == "fixed" else 0.1)


def test_class_embedding_of_the_unet_is_a_plain_parameter_as_published_only():
    assert build("unet", "fixed").plain_parameters() == set()
    plain = build("unet", "official").plain_parameters()
    assert plain == {"class_embedding.weight"}
    assert plain <= dict(build("unet", "official").named_parameters()).keys()
    for preset in ("fixed", "official"):
        assert build("dit", preset).plain_parameters() == set()


def test_unet_needs_the_size_of_its_class_embedding():
    with pytest.raises(ConfigError, match=r"architecture\.encoder_hid_dim"):
        build("unet", architecture={"block_out_channels": [8]})


@pytest.mark.parametrize("kind", ["unet", "dit", "timm"])
def test_architecture_that_the_library_refuses(kind):
    architecture = {**ARCHITECTURES[kind], "colour": "blue"}
    with pytest.raises(ConfigError, match=f"tiny {kind}.*refused.*colour"):
        build(kind, architecture=architecture)
