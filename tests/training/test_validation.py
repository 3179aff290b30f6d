"""Validation stops where the majority is certain, and decides as all steps would."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_dispatch import AttentionBackendName
from torch import Tensor, nn

from core_samples import tiny_config
from meddiff.config.schema.compute import DEFAULT_COMPUTE
from meddiff.data.stores.store import Store
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.schedule import ShiftedCosineSchedule
from meddiff.diffusion.vote import majority
from meddiff.errors import MeddiffError
from meddiff.models.kinds import build_model, build_task
from meddiff.networks.prepare import prepare_network
from meddiff.provenance import code_files
from meddiff.training.tasks.diffusion import DiffusionTask
from meddiff.training.trainer import Trainer
from scoring_samples import score_images

SEED, IMAGES, STEPS, SIDE = 5, 40, 21, 4
SIDE_OF_STORE = 8
CPU = torch.device("cpu")


class Shrinking(Denoiser):
    """Predicts a share of its input as the noise, another one for every class: noise decides who wins.

    Attributes:
        passes: (image, step) pairs so far.
    """

    def __init__(self, shares: list[float]) -> None:
        schedule = ShiftedCosineSchedule(image_size=SIDE, noise_size=SIDE, logsnr_max=15, logsnr_min=-15)
        super().__init__(len(shares), (1, SIDE, SIDE), "epsilon", schedule)
        self.shares = nn.Parameter(torch.tensor([*shares, 0.0]))
        self.passes = 0

    def forward(self, z: Tensor, logsnr: Tensor, class_ids: Tensor) -> Tensor:
        self.passes += len(z) // self.num_classes
        return z * self.shares[class_ids][:, None, None, None]

    def encode(self, images: Tensor) -> Tensor:
        return images

    def decode(self, x: Tensor) -> Tensor:
        return x


def images() -> Any:
    """What validation looks at of a store: images of different contrast, whose winners differ."""
    generator = np.random.default_rng(0)
    contrast = generator.integers(1, 128, (IMAGES, 1, 1, 1))
    pixels = 128 + contrast * generator.choice([-1, 1], (IMAGES, SIDE, SIDE, 1))
    return SimpleNamespace(images=pixels.astype(np.uint8), image_ids=[f"image {i}" for i in range(IMAGES)])


def classify(model: Denoiser, store: Any, batch_size: int, on_batch: Any = lambda: None) -> np.ndarray:
    config = tiny_config("unet", validation_steps=STEPS, train={"batch_size": batch_size})
    return DiffusionTask(config, SEED).classify(model, store, on_batch)


@pytest.mark.parametrize("batch_size", [1, 8, 500])
@pytest.mark.parametrize("shares", [[0.6, 0.95], [0.5, 0.75, 0.97]], ids=["two classes", "three"])
def test_classes_are_those_of_all_steps_with_fewer_passes(shares, batch_size):
    store = images()
    whole = Shrinking(shares)
    errors, _ = score_images(whole, store.images, store.image_ids, seed=SEED, steps=STEPS)
    assert whole.passes == IMAGES * STEPS
    expected = majority(errors)
    assert len(set(expected.tolist())) == len(shares)
    model = Shrinking(shares)
    np.testing.assert_array_equal(classify(model, store, batch_size), expected)
    # Certain after 11 of 21 steps at best; the vote of some images is close.
    assert IMAGES * 11 <= model.passes < 0.95 * IMAGES * STEPS


def test_a_network_decides_as_with_all_steps(splits: tuple[Store, Store]):
    """A network, whose errors are clearly apart: batches of other sizes do not change who wins."""
    torch.manual_seed(0)
    model = build_model(tiny_config("dit", "official"), 2, 1, 8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    errors, _ = score_images(model, splits[1].images, splits[1].image_ids, seed=SEED, steps=STEPS)
    apart = np.abs(errors[..., 0] - errors[..., 1]) / errors.mean(axis=2)
    assert apart.min() > 1e-6
    np.testing.assert_array_equal(classify(model, splits[1], 8), majority(errors))


@pytest.mark.parametrize("share", [float("nan"), float("inf")])
def test_an_error_that_is_not_finite_is_reported(share):
    with pytest.raises(MeddiffError, match=r"validation: .* training has diverged; lower train\.lr"):
        classify(Shrinking([0.5, share]), images(), 8)


def refuse_fp32(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
    """Attention that, as FlashAttention, knows half precision only; [N, L, heads, D]."""
    if query.dtype not in (torch.float16, torch.bfloat16):
        raise RuntimeError("FlashAttention only support fp16 and bf16 data type")
    swapped = (x.transpose(1, 2) for x in (query, key, value))
    return torch.nn.functional.scaled_dot_product_attention(*swapped).transpose(1, 2)


@pytest.mark.usefixtures("any_precision")
@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_trains_and_validates_with_attention_that_refuses_fp32(kind, splits, tmp_path, monkeypatch):
    """The first validation used to end such a training."""
    monkeypatch.setattr("meddiff.networks.attention.dispatch_attention_fn", refuse_fp32)
    monkeypatch.setattr("meddiff.networks.prepare.choose_backend", lambda *_: AttentionBackendName.FLASH)
    settings = {"epochs": 1, "mixed_precision": "bf16"}
    config = tiny_config(kind, train=settings)
    model = prepare_network(build_model(config, 2, 1, SIDE_OF_STORE), DEFAULT_COMPUTE, CPU, "bf16")
    run = Trainer(model, build_task(config, SEED), config.train, SEED, tmp_path)
    run.run(*splits)
    assert "valid_f1" in run.history.epochs[-1]


@pytest.mark.parametrize(
    ("mixed", "expected"), [("no", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float32)]
)
@pytest.mark.parametrize("kind", ["unet", "timm"])
def test_validation_has_the_precision_of_training(kind, mixed, expected, splits):
    """On a CPU accelerate trains in fp32 where fp16 is asked for."""
    config = tiny_config(kind, train={"mixed_precision": mixed})
    model = build_model(config, 2, 1, SIDE_OF_STORE)
    found = set()
    convolution = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    convolution.register_forward_hook(lambda module, inputs, output: found.add(output.dtype))
    build_task(config, SEED).classify(model, splits[1], lambda: None)
    assert found == {expected}


def test_asked_after_every_batch():
    asked: list[int] = []
    model = Shrinking([0.6, 0.95])
    classify(model, images(), 8, lambda: asked.append(model.passes))
    assert len(asked) >= model.passes / 4 and asked == sorted(set(asked))


def test_rules_of_scoring_are_not_code_of_training():
    """Editing them must not make trained weights stale."""
    names = {
        path.name for path in code_files(["meddiff.training.trainer", "meddiff.training.tasks.diffusion"])
    }
    assert "majority_rule.py" in names
    assert not {"stopping.py", "vote_table.py"} & names
