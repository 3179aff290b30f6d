"""The average of weights follows the published rule."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
import yaml
from diffusers.training_utils import EMAModel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from core_samples import SIDE, tiny_config
from meddiff.config.schema.training import EMAConfig
from meddiff.models.kinds import build_model
from meddiff.training.ema import EMA


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))


def shake(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            if value.is_floating_point():
                value.add_(torch.randn(value.shape, generator=generator))
            else:
                value.add_(1)


PAPER = EMAConfig()  # beta .999, from step 50 on, every 5 steps, power 2/3


@given(step=st.integers(1, 200_000))
@settings(max_examples=100, deadline=None)
def test_decay_is_the_formula(step):
    decay = EMA(nn.Linear(1, 1), PAPER).decay(step)
    before = step - 1
    expected = 0.0 if before <= 50 else min(0.999, 1 - (1 + before - 50) ** (-2 / 3))
    assert decay == pytest.approx(expected, abs=1e-12)


def test_decay_of_the_paper_is_reached_near_its_end():
    """At step 31.6 thousand, of 32,768 of the DiT on ISIC (a fact recorded from the authors' code)."""
    ema = EMA(nn.Linear(1, 1), PAPER)
    first = next(step for step in range(51, 100_000) if ema.decay(step) == 0.999)
    assert first == pytest.approx(31_672, abs=5)
    assert [ema.decay(s) for s in (1, 51)] == [0.0, 0.0]
    assert ema.decay(52) == pytest.approx(1 - 2 ** (-2 / 3))


def walk(model: nn.Module, steps: int) -> Iterator[int]:
    """Optimizer steps, after which the only weight of `model` is 0.5, 2, 4.5, 8, ..."""
    for step in range(1, steps + 1):
        with torch.no_grad():
            model.weight.fill_(step * step / 2)
        yield step


def weight() -> nn.Module:
    model = nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        model.weight.fill_(-3.0)
    return model


# What ema-pytorch 0.7.7 has with the paper's settings (beta .999, update_after_step 50, update_every 5) after
# some of these steps, when it is updated after each. It computes decays in fp32.
EMA_PYTORCH = {
    1: 0.5,
    5: 0.5,
    6: 18.0,
    50: 1058.0,
    51: 1300.5,
    55: 1300.5,
    56: 1381.5133019089699,
    61: 1478.3548459223116,
    100: 2493.4253955682934,
    101: 2682.997075472089,
    1001: 247923.4893524317,
    2001: 1094320.3620972282,
}


def test_the_papers_average_is_that_of_ema_pytorch():
    model = weight()
    ema = EMA(model, PAPER)
    for step in walk(model, max(EMA_PYTORCH)):
        ema.update(step)
        if step in EMA_PYTORCH:
            assert ema.model.weight.item() == pytest.approx(EMA_PYTORCH[step], rel=1e-6), step


def test_stable_diffusions_average_is_that_of_diffusers(root):
    document = yaml.safe_load((root / "config/models/stable_diffusion_finetuned.yaml").read_text())
    model = weight()
    ema, theirs = EMA(model, EMAConfig(**document["train"]["ema"])), EMAModel(model.parameters())
    for step in walk(model, 2000):
        ema.update(step)
        theirs.step(model.parameters())
        assert ema.decay(step) == pytest.approx(theirs.cur_decay_value, abs=1e-14)
        assert ema.model.weight.item() == pytest.approx(theirs.shadow_params[0].item(), rel=1e-12)
    assert ema.decay(200_000) == theirs.get_decay(200_000) == 0.9999


def test_average_is_the_recursion():
    model = net()
    config = EMAConfig(beta=0.7, update_after_step=3, update_every=2, power=0.8)
    ema = EMA(model, config)
    expected = {name: p.detach().clone() for name, p in model.named_parameters()}
    for step in range(1, 15):
        shake(model, step)
        ema.update(step)
        if step % 2 == 1:
            decay = 0.0 if step <= 4 else min(0.7, 1 - (1 + step - 4) ** -0.8)
            for name, p in model.named_parameters():
                expected[name] = decay * expected[name] + (1 - decay) * p.detach()
        for name, p in ema.model.named_parameters():
            torch.testing.assert_close(p, expected[name])


def test_average_begins_as_a_copy_of_the_weights():
    model = net()
    ema = EMA(model, EMAConfig(update_after_step=6, update_every=2))
    for step in range(1, 8):
        shake(model, step)
        ema.update(step)
        same = all(torch.equal(a, b) for a, b in zip(ema.model.parameters(), model.parameters(), strict=True))
        assert same == (step % 2 == 1)


def test_buffers_and_plain_parameters_are_always_those_of_the_model():
    model = net()
    ema = EMA(model, EMAConfig(beta=0.9, update_after_step=1, update_every=3), plain={"0.bias"})
    for step in range(1, 12):
        shake(model, step)
        ema.update(step)
        assert torch.equal(ema.model[0].bias, model[0].bias)
        assert torch.equal(ema.model[0].weight, model[0].weight) == (step == 1)  # the first is a copy
        for averaged, online in zip(ema.model.buffers(), model.buffers(), strict=True):
            assert torch.equal(averaged, online)


def test_copy_is_in_eval_mode_apart_and_without_gradients():
    model = net().train()
    ema = EMA(model, PAPER)
    assert model.training and not any(module.training for module in ema.model.modules())
    assert not any(p.requires_grad for p in ema.model.parameters())
    before = copy.deepcopy(ema.model.state_dict())
    shake(model, 0)
    assert all(torch.equal(before[name], value) for name, value in ema.model.state_dict().items())


@pytest.mark.parametrize("preset", ["fixed", "official"])
def test_class_embedding_of_the_unet_is_averaged_unless_as_published(preset):
    model = build_model(tiny_config("unet", preset), 2, 1, SIDE)
    ema = EMA(model, EMAConfig(beta=0.5, update_after_step=1, update_every=1), model.plain_parameters())
    for step in range(1, 5):
        shake(model, step)
        ema.update(step)
    copied = torch.equal(ema.model.class_embedding.weight, model.class_embedding.weight)
    assert copied == (preset == "official")
    assert not torch.equal(ema.model.backbone.conv_in.weight, model.backbone.conv_in.weight)
