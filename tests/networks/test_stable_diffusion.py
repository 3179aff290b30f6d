"""Stable Diffusion behind the denoiser's contract, from a folder in the real layout."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline
from hypothesis import given, settings
from hypothesis import strategies as st

from core_samples import write_store
from meddiff.config.schema.kinds.stable_diffusion import StableDiffusionConfig
from meddiff.data.stores.store import Store
from meddiff.diffusion.errors import residuals, squared_errors
from meddiff.diffusion.evidence import evidence_maps
from meddiff.diffusion.noise import noise_keys
from meddiff.diffusion.objective import diffusion_loss
from meddiff.diffusion.sample import Sampling, counterfactual
from meddiff.diffusion.schedule import alpha_sigma
from meddiff.errors import CheckpointError, ConfigError
from meddiff.models.kinds import build_model
from meddiff.networks.discrete_schedule import DiscreteSchedule
from meddiff.networks.pipeline_folder import encode_prompts, with_architecture
from meddiff.networks.stable_diffusion import StableDiffusionDenoiser
from meddiff.networks.tiny_stable_diffusion import make_tiny_stable_diffusion
from scoring_samples import score_images

PROMPTS = ["image of a benign skin lesion", "image of a melanoma skin lesion"]
SIDE = 16
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> list[Path]:
    """A grey and a coloured dataset."""
    folder = tmp_path_factory.mktemp("stores")
    return [write_store(folder / str(c), size=SIDE, channels=c) for c in (1, 3)]


@pytest.fixture(scope="module")
def folder(stores, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pretrained") / "tiny"
    make_tiny_stable_diffusion(stores, path, seed=1, autoencoder_steps=2)
    return path


@pytest.fixture(scope="module")
def config(folder) -> StableDiffusionConfig:
    document = {
        "title": "tiny",
        "family": "diffusion",
        "kind": "stable_diffusion",
        "pretrained": {"generate": "tiny_stable_diffusion", "datasets": ["any"]},
        "prompts": PROMPTS,
    }
    return with_architecture(StableDiffusionConfig.model_validate(document), folder)


@pytest.fixture(scope="module")
def model(config, folder) -> StableDiffusionDenoiser:
    denoiser = build_model(config, 2, 3, SIDE)
    denoiser.load_pretrained(folder)
    return denoiser.eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_noise_levels_are_those_of_the_published_scheduler():
    """The authors take alphas_cumprod from an Euler scheduler; classification leaves out both ends."""
    schedule = DiscreteSchedule(SCHEDULER)
    alphas_cumprod = EulerDiscreteScheduler.from_config(SCHEDULER).alphas_cumprod
    alpha, sigma = alpha_sigma(schedule.table, 1)
    assert torch.allclose(alpha.square(), alphas_cumprod, rtol=1e-4)
    assert torch.allclose(sigma.square(), 1 - alphas_cumprod, rtol=1e-4)
    t = torch.linspace(0, 1, 20_001)
    assert set(schedule.level(schedule.logsnr(t)).tolist()) == set(range(1, 999))
    assert set(schedule.level(schedule.training_logsnr(t)).tolist()) == set(range(1000))


@given(level=st.integers(0, 999), shift=st.floats(-0.3, 0.3))
@settings(max_examples=40, deadline=None)
def test_a_level_is_found_from_its_noise(level, shift):
    """Also where the logSNR has been rounded; the neighbours are further away than that."""
    table = DiscreteSchedule(SCHEDULER).table
    neighbour = table[min(level + 1, 999)] if shift < 0 else table[max(level - 1, 0)]
    value = table[level] + abs(shift) * (neighbour - table[level])
    assert DiscreteSchedule(SCHEDULER).level(value[None]).item() == level


def test_prediction_is_that_of_the_pipeline(model, folder, images):
    """UNet, autoencoder, tokenizer and text encoder as diffusers' own pipeline loads and runs them."""
    pipeline = StableDiffusionPipeline.from_pretrained(str(folder), safety_checker=None)
    tokens, empty = pipeline.encode_prompt(PROMPTS, "cpu", 1, do_classifier_free_guidance=True)
    with torch.no_grad():
        latents = pipeline.vae.encode(images).latent_dist.mode() * pipeline.vae.config.scaling_factor
        expected = pipeline.unet(latents, 321, encoder_hidden_states=tokens[[0, 1, 1]]).sample
        logsnr = model.schedule.table[321].expand(3)
        got = model(model.encode(images), logsnr, torch.tensor([0, 1, 1]))
    assert torch.allclose(model.encode(images), latents, atol=1e-6)
    assert torch.allclose(got, expected, atol=1e-5)
    assert torch.allclose(model.class_tokens[2], empty[0], atol=1e-6)
    assert not torch.allclose(model.class_tokens[0], model.class_tokens[1], atol=1e-3)


def test_training_loss_is_that_of_diffusers_script(model, images):
    """Squared error of eps at a level of the table, noised by diffusers' scheduler."""
    x = model.encode(images)
    eps = torch.randn(3, *model.input_shape, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([0.0, 0.5004, 0.9999])
    levels = torch.tensor([0, 500, 999])
    noisy = DDPMScheduler.from_config(SCHEDULER).add_noise(x, eps, levels)
    ids = torch.tensor([0, 1, 0])
    with torch.no_grad():
        predicted = model.unet(noisy, levels, encoder_hidden_states=model.class_tokens[ids]).sample
        loss = diffusion_loss(model, x, ids, t, eps, "uniform")
    assert torch.allclose(loss, (predicted - eps).square().flatten(1).mean(1), rtol=1e-4)


def test_training_draws_latents_and_scoring_takes_their_mean(model, images):
    keys, steps = noise_keys(0, "abc"), torch.arange(3)
    draws = (
        torch.stack([model.encode_for_training(images, keys, steps + 3 * i) for i in range(200)])
        / model.vae.config.scaling_factor
    )
    posterior = model.vae.encode(images).latent_dist
    assert torch.allclose(draws.mean(0), posterior.mean, atol=float(6 * posterior.std.max() / math.sqrt(200)))
    assert torch.allclose(draws.std(0).mean(), posterior.std.mean(), rtol=0.05)
    again = model.encode_for_training(images[1:2], keys[1:2], steps[1:2])
    assert torch.allclose(again, draws[0, 1:2] * model.vae.config.scaling_factor, atol=1e-5)


def test_only_the_unet_is_trained(model):
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"unet"}


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_and_counterfactuals_of_both_kinds_of_images(channels, config, folder, stores):
    store = Store.open(stores[0 if channels == 1 else 1], "test")
    denoiser = build_model(config, 2, channels, SIDE)
    denoiser.load_pretrained(folder)
    one, many = (
        score_images(denoiser, store.images, store.image_ids, seed=0, steps=3, batch_size=b)[0]
        for b in (2, 64)
    )
    assert np.isfinite(one).all() and one.shape == (len(store), 3, 2)
    np.testing.assert_allclose(one, many, rtol=1e-4)
    x = denoiser.encode(torch.zeros(2, channels, SIDE, SIDE))
    with torch.no_grad():
        out = counterfactual(
            denoiser,
            x,
            torch.tensor([0, 1]),
            Sampling(from_t=0.5, steps=3, cfg_scale=2.0),
            lambda k: torch.zeros_like(x),
        )
        assert denoiser.decode(out).shape == (2, channels, SIDE, SIDE)


def test_the_same_seed_makes_the_same_model(stores, folder, tmp_path):
    make_tiny_stable_diffusion(stores, tmp_path / "again", seed=1, autoencoder_steps=2)
    for path in sorted(folder.rglob("*.safetensors")):
        other = tmp_path / "again" / path.relative_to(folder)
        assert path.read_bytes() == other.read_bytes()


def test_missing_parts_are_named(folder, config, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    shutil.rmtree(broken / "vae")
    (broken / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"vae/config\.json.*unet/\*\.safetensors"):
        with_architecture(config, broken)


def test_a_prompt_too_long_is_refused(folder):
    with pytest.raises(CheckpointError, match="tokens"):
        encode_prompts(folder, ["x" * 200])


def test_every_class_needs_a_prompt(config, folder):
    denoiser = build_model(config, 3, 3, SIDE)
    with pytest.raises(ConfigError, match="one a class"):
        denoiser.load_pretrained(folder)


def test_all_classes_at_once_are_one_pass_a_class(model):
    z, logsnr = torch.randn(3, *model.input_shape), model.schedule.logsnr(torch.tensor([0.1, 0.5, 0.9]))
    with torch.no_grad():
        expected = torch.stack([model(z, logsnr, torch.full((3,), c)) for c in range(model.num_classes)])
        actual = model.for_all_classes(z, logsnr)
    assert (expected[0] - expected[1]).abs().max() > 1e-4
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_sums_of_evidence_maps_are_differences_of_errors(model):
    """In the latent space: the autoencoder is no orthonormal transform."""
    x = torch.randn(3, *model.input_shape)
    with torch.inference_mode():
        found = residuals(model.eval(), x, torch.rand(3), torch.randn(x.shape))
        maps, errors = evidence_maps(model, found), squared_errors(found).double()
    assert maps.shape == (3, 1, *model.input_shape[1:]) and model.evidence_space == "latent"
    difference = errors[:, 1] - errors[:, 0]
    assert difference.abs().min() > 0
    off = (maps.double().sum(dim=(1, 2, 3)) - difference).abs() / errors.mean(dim=1)
    assert off.max() < 1e-6
