"""Weights and resume state on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from core_samples import SIDE, tiny_config
from meddiff.errors import CheckpointError
from meddiff.models.checkpoint import (
    TrainState,
    load_optimizer_tensors,
    load_state,
    load_weights,
    optimizer_tensors,
    read_weights,
    save_state,
    save_weights,
    with_prefix,
    without_prefix,
)
from meddiff.models.kinds import build_model
from meddiff.weights.official import load_official_diffusion


def net(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))


def test_state_round_trip(tmp_path):
    path = tmp_path / "deep" / "state.safetensors"
    tensors = {"a": torch.randn(3, 2).T, "b": torch.tensor(3), "c": torch.randn(2).bfloat16()}
    values = {"step": 7, "best_f1": 0.1 + 0.2, "epochs": [{"loss": 1e-300}], "scaler": None}
    save_state(path, TrainState(tensors, values))
    state = load_state(path)
    assert state is not None and state.values == values
    assert state.tensors.keys() == tensors.keys()
    assert all(
        torch.equal(state.tensors[k], v) and state.tensors[k].dtype == v.dtype for k, v in tensors.items()
    )
    assert [p.name for p in path.parent.iterdir()] == ["state.safetensors"]


def test_no_state(tmp_path):
    assert load_state(tmp_path / "state.safetensors") is None


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "no values"])
def test_damaged_state(tmp_path, damage):
    path = tmp_path / "state.safetensors"
    save_state(path, TrainState({"a": torch.zeros(100)}, {"step": 1}))
    if damage == "no values":
        save_weights(path, net())
    else:
        path.write_bytes({"cut": path.read_bytes()[:-20], "text": b"not a checkpoint", "empty": b""}[damage])
    with pytest.raises(CheckpointError, match=r"state\.safetensors: damaged resume state.*delete it"):
        load_state(path)


def test_weights_round_trip_with_buffers(tmp_path):
    model, other = net(), net()
    model(torch.randn(5, 2))
    save_weights(tmp_path / "w.safetensors", model)
    load_weights(tmp_path / "w.safetensors", other)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


def test_same_weights_are_the_same_bytes(tmp_path):
    model = net()
    for name in ("a", "b"):
        save_weights(tmp_path / name, model)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_weights_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, nn.Sequential(nn.Linear(2, 4), nn.Identity(), nn.Linear(1, 1)))
    with pytest.raises(CheckpointError) as caught:
        load_weights(path, net())
    message = str(caught.value)
    assert message.startswith(f"{path}: weights do not fit the model")
    assert "missing: 1.bias" in message and "unknown: 2.bias, 2.weight (2)" in message
    assert "0.weight: (4, 2) instead of (3, 2)" in message


def test_missing_and_damaged_weights(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(CheckpointError, match=r"w\.safetensors: no such weights"):
        load_weights(path, net())
    path.write_bytes(b"\0" * 100)
    with pytest.raises(CheckpointError, match=r"w\.safetensors: damaged weights"):
        load_weights(path, net())


def assert_every_flip_is_noticed(path: Path, read: Callable[[Path], object]) -> None:
    """The library itself reads most flipped bytes of a tensor as other numbers."""
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(0, len(whole), size=150):
        damaged = bytearray(whole)
        damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=rf"{path.name}: damaged .*; delete it"):
            read(path)


def test_flipped_bytes_of_weights(tmp_path):
    save_weights(tmp_path / "w.safetensors", net())
    assert_every_flip_is_noticed(tmp_path / "w.safetensors", read_weights)


def test_flipped_bytes_of_a_resume_state(tmp_path):
    state = TrainState({"a": torch.randn(20), "b": torch.tensor(3)}, {"step": 7, "epochs": [{"f1": 0.5}]})
    save_state(tmp_path / "state.safetensors", state)
    assert_every_flip_is_noticed(tmp_path / "state.safetensors", load_state)


def test_swapped_tensors_are_noticed(tmp_path):
    """By a program that knows the format and copies what it does not."""
    path, model = tmp_path / "w.safetensors", nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    save_weights(path, model)
    with safe_open(path, "pt") as stream:
        tensors, metadata = {k: stream.get_tensor(k) for k in stream.keys()}, stream.metadata()  # noqa: SIM118
    tensors["0.weight"], tensors["1.weight"] = tensors["1.weight"], tensors["0.weight"]
    save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match=r"w\.safetensors: damaged weights \(the checksum does not fit"):
        load_weights(path, model)


def test_weights_of_earlier_versions_are_read_and_named(tmp_path, caplog):
    """They had no metadata; days of training are not thrown away."""
    model, other = net(), net()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    load_weights(tmp_path / "w.safetensors", other)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
    assert "w.safetensors: was written by an earlier version, without a checksum" in caplog.text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_named(tmp_path, value):
    path, model = tmp_path / "w.safetensors", net()
    model[1].running_var[1] = value
    save_weights(path, model)
    expected = r"w\.safetensors: values that are NaN or infinite in 1 tensors: 1\.running_var \(1 of 3\)"
    with pytest.raises(CheckpointError, match=expected):
        load_weights(path, net())


def test_constants_that_are_infinite_by_design_are_loaded(tmp_path):
    model = net()
    model.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    save_weights(tmp_path / "w.safetensors", model)
    load_weights(tmp_path / "w.safetensors", model)


def test_whole_numbers_are_no_weights(tmp_path):
    path, model = tmp_path / "w.safetensors", net()
    save_file({name: tensor.to(torch.int8) for name, tensor in model.state_dict().items()}, path)
    with pytest.raises(
        CheckpointError, match=r"wrong kind of number: 0\.bias: torch\.int8 instead of torch\.float32"
    ):
        load_weights(path, model)
    halves = {n: t.half() if t.is_floating_point() else t for n, t in model.state_dict().items()}
    save_file(halves, path)  # fewer bits are the same kind
    load_weights(path, model)


def test_prefixes():
    tensors = {"weight": torch.zeros(1), "model.x": torch.ones(1)}
    both = {**with_prefix("model", tensors), **with_prefix("ema", tensors)}
    assert without_prefix("model", both).keys() == tensors.keys()


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_optimizer_goes_on_as_before_after_json_and_tensors(kind, tmp_path):
    torch.manual_seed(0)
    one, other = net(), net()
    other.load_state_dict(one.state_dict())
    first, second = (kind(m.parameters(), lr=0.1) for m in (one, other))

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        x = torch.randn(4, 2, generator=torch.Generator().manual_seed(seed))
        model(x).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    for seed in range(3):
        step(one, first, seed)
    save_state(tmp_path / "s", TrainState(with_prefix("optimizer", optimizer_tensors(first))))
    other.load_state_dict(one.state_dict())
    load_optimizer_tensors(second, without_prefix("optimizer", load_state(tmp_path / "s").tensors))
    for seed in range(3, 6):
        step(one, first, seed)
        step(other, second, seed)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_optimizer_state_lies_in_memory_as_its_weights_do(tmp_path):
    """Saved files know no memory format, and a fused optimizer reads weights and averages side by side."""
    torch.manual_seed(0)
    weight = torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    gradients = [torch.randn(4, 3, 2, 2) for _ in range(4)]

    def optimizer() -> torch.optim.Optimizer:
        return torch.optim.Adam([nn.Parameter(weight.clone())], lr=0.1, fused=True)

    def step(one: torch.optim.Optimizer, gradient: torch.Tensor) -> torch.Tensor:
        parameter = one.param_groups[0]["params"][0]
        parameter.grad = gradient.contiguous(memory_format=torch.channels_last)
        one.step()
        return parameter.detach()

    first, second = optimizer(), optimizer()
    for gradient in gradients[:2]:
        before = step(first, gradient)
    save_state(tmp_path / "s", TrainState(optimizer_tensors(first)))
    with torch.no_grad():
        second.param_groups[0]["params"][0].copy_(before)
    load_optimizer_tensors(second, load_state(tmp_path / "s").tensors)
    for gradient in gradients[2:]:
        assert torch.equal(step(first, gradient), step(second, gradient))


def test_values_are_readable_without_our_code(tmp_path):
    """The header of a safetensors file is JSON after its length: no pickle anywhere."""
    path = tmp_path / "s"
    save_state(path, TrainState({"a": torch.zeros(1)}, {"step": 12}))
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert json.loads(header["__metadata__"]["meddiff"])["values"] == {"step": 12}


def test_official_checkpoint_that_is_missing_or_does_not_fit(tmp_path):
    denoiser = build_model(tiny_config("unet", "official"), 2, 1, SIDE)
    with pytest.raises(CheckpointError, match=r"model_1\.safetensors: no such weights"):
        load_official_diffusion(tmp_path, denoiser)
    save_weights(tmp_path / "model.safetensors", net())
    save_weights(tmp_path / "model_2.safetensors", nn.Linear(1, 1))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: weights do not fit the model"):
        load_official_diffusion(tmp_path, denoiser, ema=False)


def test_official_checkpoint_takes_the_average_and_the_plain_embedding(tmp_path):
    torch.manual_seed(0)
    online, averaged, target = (build_model(tiny_config("unet", "official"), 2, 1, SIDE) for _ in range(3))
    save_weights(tmp_path / "model.safetensors", online.backbone)
    save_weights(tmp_path / "model_1.safetensors", nn.ModuleDict({"ema_model": averaged.backbone}))
    save_weights(tmp_path / "model_2.safetensors", online.class_embedding)
    for ema, backbone in ((True, averaged.backbone), (False, online.backbone)):
        load_official_diffusion(tmp_path, target, ema=ema)
        assert torch.equal(target.backbone.conv_in.weight, backbone.conv_in.weight)
        assert torch.equal(target.class_embedding.weight, online.class_embedding.weight)
