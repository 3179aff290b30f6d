"""Augmentation: what each setting does to an image, and whose draws it uses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as reference

from core_samples import tiny_config
from meddiff.config.schema.augmentation import Augmentation
from meddiff.data.stores.augment import _affine, _move, augment, augment_pixels
from meddiff.diffusion.noise import noise_keys
from meddiff.diffusion.pixels import to_unit_range
from meddiff.models.kinds import build_model

EVERYTHING = Augmentation(
    hflip=0.5, vflip=0.5, rotation=30, shift=0.1, scale=0.1, blur_sigma=(0.1, 2.0), fill="black"
)


def images(n: int, height: int = 12, width: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 2, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def steps(n: int, step: int = 3) -> torch.Tensor:
    return torch.full((n,), step)


def test_the_default_changes_nothing():
    x = images(4)
    assert torch.equal(augment(x, Augmentation(), noise_keys(0, "abcd"), steps(4)), x)


@pytest.mark.parametrize(("setting", "dim"), [("hflip", 3), ("vflip", 2)])
def test_flips(setting, dim):
    x = images(3)
    out = augment(x, Augmentation(**{setting: 1.0}), noise_keys(0, "abc"), steps(3))
    assert torch.allclose(out, x.flip(dim), atol=1e-5)


def test_half_of_the_images_are_flipped():
    x = images(1).expand(400, -1, -1, -1)
    out = augment(x, Augmentation(hflip=0.5), noise_keys(0, [str(i) for i in range(400)]), steps(400))
    flipped = (out - x.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-5
    kept = (out - x).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert bool((flipped ^ kept).all())
    assert 150 < int(flipped.sum()) < 250


@pytest.mark.parametrize(
    "flips", [{}, {"hflip": 0.5}, {"vflip": 0.5}, {"hflip": 0.5, "vflip": 0.5}, {"hflip": 1.0}]
)
def test_flips_of_stored_images_are_those_of_augment_and_exact(flips):
    pixels = torch.randint(
        0, 256, (30, 8, 12, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    config, keys = Augmentation(**flips), noise_keys(0, [str(i) for i in range(30)])
    out = augment_pixels(pixels, config, keys, steps(30))
    assert out.dtype == torch.uint8
    expected = augment(to_unit_range(pixels), config, keys, steps(30))
    assert torch.allclose(to_unit_range(out), expected, atol=1e-5)


@pytest.mark.parametrize(
    "setting", [{"rotation": 9}, {"shift": 0.1}, {"scale": 0.1}, {"blur_sigma": (0.5, 1.0)}]
)
def test_stored_images_that_change_their_values_become_augmented_ones(setting):
    pixels = torch.randint(
        0, 256, (4, 8, 8, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    config, keys = Augmentation(hflip=0.5, **setting), noise_keys(0, "abcd")
    out = augment_pixels(pixels, config, keys, steps(4))
    assert torch.equal(out, augment(to_unit_range(pixels), config, keys, steps(4)))


@pytest.mark.parametrize(("height", "width"), [(12, 12), (12, 20)])
@pytest.mark.parametrize("fill", ["black", "reflect"])
def test_rotation_is_that_of_torchvision(fill, height, width):
    x = images(1, height, width)
    draws = torch.full((1, 7), 0.5)
    draws[0, 2] = 0.75  # half of the largest angle, counter-clockwise
    moved = _move(x, _affine(draws, Augmentation(rotation=40), x.shape[-2:]), fill)
    expected = reference.rotate(x + 1, 20.0, interpolation=reference.InterpolationMode.BILINEAR) - 1
    other = reference.rotate(x + 1, -20.0, interpolation=reference.InterpolationMode.BILINEAR) - 1
    inside = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    distance = min((moved - e)[inside].abs().max().item() for e in (expected, other))
    assert distance < 1e-4
    corner = moved[0, 0, 0, 0].item()
    assert (corner == -1.0) == (fill == "black")


def test_shift_and_scale_stay_within_their_limits():
    draws = torch.rand(200, 7, generator=torch.Generator().manual_seed(1))
    affine = _affine(draws, Augmentation(shift=0.1, scale=0.2), torch.Size((8, 8)))
    assert affine[:, :, 2].abs().max() <= 0.2 + 1e-6  # coordinates run over 2 for one side
    assert affine[:, :, 2].abs().max() > 0.15
    zoom = affine[:, 0, 0]
    assert zoom.min() >= 0.8 - 1e-6 and zoom.max() <= 1.2 + 1e-6
    assert torch.allclose(zoom, affine[:, 1, 1])


def test_blur_is_that_of_torchvision():
    x = images(2)
    out = augment(x, Augmentation(blur_sigma=(1.3, 1.3)), noise_keys(0, "ab"), steps(2))
    expected = reference.gaussian_blur(x, kernel_size=[5, 5], sigma=[1.3, 1.3])
    assert torch.allclose(out, expected, atol=1e-5)


@given(seed=st.integers(0, 1000), step=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_an_image_has_draws_of_its_own(seed, step):
    """Neither the batch nor the order matters; another step draws anew; values stay in range."""
    x, keys = images(5, seed=seed), noise_keys(seed, "abcde")
    together = augment(x, EVERYTHING, keys, steps(5, step))
    alone = augment(x[3:4], EVERYTHING, keys[3:4], steps(1, step))
    assert torch.allclose(together[3:4], alone, atol=1e-6)
    assert not torch.allclose(together, augment(x, EVERYTHING, keys, steps(5, step + 1)), atol=1e-3)
    assert together.abs().max() <= 1 + 1e-5
    assert math.isfinite(together.sum())


@pytest.mark.parametrize("kind", ["unet", "dit"])
@pytest.mark.parametrize("wavelet", [True, False])
def test_diffusion_models_see_images_changed_in_image_space(kind, wavelet):
    """Flipped as pixels or as numbers, an image comes to the network as the flipped image does."""
    model = build_model(tiny_config(kind, wavelet=wavelet), 2, 1, 8)
    pixels = torch.randint(
        0, 256, (4, 8, 8, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    keys, at = noise_keys(0, "abcd"), steps(4)
    expected = model.encode_pixels(pixels.flip(2))
    flip = Augmentation(hflip=1.0)
    as_pixels = augment_pixels(pixels, flip, keys, at)
    as_numbers = augment(to_unit_range(pixels), flip, keys, at)
    for changed in (as_pixels, as_numbers):
        encoded = model.encode_for_training(changed, keys, at)
        torch.testing.assert_close(encoded, expected, atol=1e-5, rtol=0)
    assert not torch.allclose(expected, model.encode_pixels(pixels), atol=1e-2)
