"""Counterfactuals in memory: noise, batches, presets, and data where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from core_samples import SIDE, tiny_config
from gaussian_samples import DEVIATION, MEANS, GaussianDenoiser
from meddiff.diffusion.noise import STREAM_SAMPLER, noise_keys, normal
from meddiff.diffusion.pixels import to_unit_range
from meddiff.diffusion.sample import Sampling, counterfactual, sample
from meddiff.diffusion.schedule import alpha_sigma
from meddiff.errors import MeddiffError
from meddiff.explaining.counterfactuals import edit_images, to_uint8
from meddiff.models.spec import ModelSpec

SAMPLING, SEED = Sampling(from_t=0.6, steps=5, cfg_scale=2.5), 3


@pytest.fixture(scope="module", params=["unet", "dit"])
def denoiser(request):
    torch.manual_seed(0)
    spec = ModelSpec(tiny_config(request.param), num_classes=2, channels=1, image_size=SIDE)
    model = spec.build().eval()
    with torch.no_grad():  # a DiT begins as zero, which no batch could change
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (6, SIDE, SIDE, 1), dtype=np.uint8)


def gaussian() -> GaussianDenoiser:
    """The optimal denoiser, with a parameter that says on which device it is."""
    model = GaussianDenoiser().eval()
    model.register_parameter("nothing", torch.nn.Parameter(torch.zeros(1)))
    return model


NAMES = [f"image {i}" for i in range(6)]
TARGETS = [0, 1, 0, 1, 0, 1]


def in_other_batches(model, images, sampling: Sampling = SAMPLING) -> tuple[np.ndarray, ...]:
    """The same edits all at once, in another order, and one by one."""
    together = edit_images(model, images, NAMES, TARGETS, sampling, SEED)
    order = [4, 1, 5, 0, 3, 2]
    shuffled = edit_images(
        model, images[order], [NAMES[i] for i in order], [TARGETS[i] for i in order], sampling, SEED
    )
    alone = [
        edit_images(model, images[i : i + 1], [NAMES[i]], [TARGETS[i]], sampling, SEED) for i in range(6)
    ]
    assert len({image.tobytes() for image in together}) == 6
    return together, shuffled[np.argsort(order)], np.concatenate(alone)


@pytest.mark.parametrize("sampler", ["ancestral", "ddim"])
def test_the_sampler_does_not_depend_on_the_batch(images, sampler):
    """Same bytes, with a denoiser that computes pixel by pixel."""
    together, *others = in_other_batches(gaussian(), images[:, :4, :4], replace(SAMPLING, sampler=sampler))
    for other in others:
        np.testing.assert_array_equal(other, together)


def test_networks_do_not_depend_on_the_batch(denoiser, images):
    """A convolution may round its last bit in another way; that can turn a pixel by one grey level."""
    together, *others = in_other_batches(denoiser, images)
    for other in others:
        difference = np.abs(other.astype(int) - together)
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01


def test_targets_of_one_image_share_their_noise_and_other_names_do_not(denoiser, images):
    twice = np.repeat(images[:1], 3, axis=0)
    same, again, other = edit_images(denoiser, twice, ["a", "a", "b"], [0, 0, 0], SAMPLING, SEED)
    np.testing.assert_array_equal(same, again)
    assert (same != other).any()
    different = edit_images(denoiser, twice[:1], ["a"], [0], SAMPLING, seed=4)
    assert (different[0] != same).any()


def test_the_official_preset_is_the_sampler_with_its_extra_last_step(denoiser, images):
    """Composed by hand: noise the image, sample as published, bound, decode and round."""
    keys = noise_keys(SEED, NAMES)

    def draw(step: int) -> torch.Tensor:
        return normal(keys, torch.full((6,), step), denoiser.input_shape, STREAM_SAMPLER)

    with torch.inference_mode():
        x = denoiser.encode(to_unit_range(torch.from_numpy(images)))
        alpha, sigma = alpha_sigma(denoiser.schedule.logsnr(torch.full((6,), SAMPLING.from_t)), 4)
        published = sample(
            denoiser,
            alpha * x + sigma * draw(0),
            torch.tensor(TARGETS),
            replace(SAMPLING, extra_last_step=True),
            draw,
        )
        expected = to_uint8(denoiser.decode(published))
    made = edit_images(denoiser, images, NAMES, TARGETS, replace(SAMPLING, extra_last_step=True), SEED)
    np.testing.assert_array_equal(made, expected)
    assert (made != edit_images(denoiser, images, NAMES, TARGETS, SAMPLING, SEED)).any()


def test_the_extra_last_step_is_one_more_pass(denoiser, images):
    calls: list[int] = []
    for extra in (False, True):
        edit_images(
            denoiser,
            images,
            NAMES,
            TARGETS,
            replace(SAMPLING, extra_last_step=extra),
            SEED,
            on_step=lambda: calls.append(1),
        )
    assert len(calls) == 2 * SAMPLING.steps + 1


def test_values_are_clamped_and_rounded_once():
    values = torch.tensor([-3.0, -1.0, 0.0, 1.0 / 255, 0.999, 7.0]).reshape(1, 1, 2, 3)
    assert to_uint8(values).reshape(-1).tolist() == [0, 0, 128, 128, 255, 255]
    stored = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(to_uint8(to_unit_range(stored)), stored.numpy())


def test_known_gaussians_factual_stays_and_counterfactual_moves_to_the_target():
    """Pixels of class c are N(MEANS[c], DEVIATION^2); the denoiser is the optimal one."""
    model = gaussian()
    rng = np.random.default_rng(0)
    pixels = MEANS[0] + DEVIATION * rng.standard_normal((300, 4, 4, 1))
    images = np.clip(np.rint((pixels + 1) * 127.5), 0, 255).astype(np.uint8)
    names = [str(i) for i in range(300)]
    sampling = Sampling(from_t=0.9, steps=60, cfg_scale=1.0)
    means = []
    for target in (0, 1):
        made = edit_images(model, images, names, [target] * 300, sampling, SEED) / 127.5 - 1
        means.append(made.mean())
        # Values are bounded to [-1, 1]: class 1 loses a part of its upper tail.
        bounded = np.clip(MEANS[target] + DEVIATION * rng.standard_normal(200_000), -1, 1)
        assert made.mean() == pytest.approx(bounded.mean(), abs=0.06)
        assert made.std() == pytest.approx(bounded.std(), abs=0.06)
    assert means[1] - means[0] > 0.9


def test_factual_and_counterfactual_differ_by_the_class_only():
    """With one Gaussian for both classes the counterfactual is the factual reconstruction."""
    model = gaussian()
    forward = model.forward
    model.forward = lambda z, logsnr, class_ids: forward(z, logsnr, torch.zeros_like(class_ids))
    images = np.full((4, 4, 4, 1), 100, dtype=np.uint8)
    made = [edit_images(model, images, list("abcd"), [target] * 4, SAMPLING, SEED) for target in (0, 1)]
    np.testing.assert_array_equal(*made)


def test_a_latent_space_has_no_bound():
    model = gaussian()
    model.encode, model.decode = (lambda x: 20 * x), (lambda x: x / 20)  # "latents" far beyond 1
    images = np.full((2, 4, 4, 1), 255, dtype=np.uint8)
    bounded = edit_images(model, images, ["a", "b"], [0, 0], replace(SAMPLING, from_t=0.05), SEED)
    model.x_bound = None
    free = edit_images(model, images, ["a", "b"], [0, 0], replace(SAMPLING, from_t=0.05), SEED)
    assert bounded.max() < 140 < free.min()


def test_values_that_are_not_finite_are_reported(denoiser, images, monkeypatch):
    monkeypatch.setattr(denoiser, "decode", lambda x: x / 0)
    with pytest.raises(MeddiffError, match=r"not finite.*counterfactuals\.precision 'fp32'"):
        edit_images(denoiser, images, NAMES, TARGETS, SAMPLING, SEED)


def test_counterfactual_passes_settings_on():
    """`on_step` is called before every step, and may stop the sampling."""
    model = GaussianDenoiser().eval()

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        counterfactual(
            model,
            torch.zeros(1, 1, 4, 4),
            torch.zeros(1, dtype=torch.int64),
            Sampling(from_t=0.5, steps=3, cfg_scale=1.0),
            lambda step: torch.zeros(1, 1, 4, 4),
            stop,
        )
