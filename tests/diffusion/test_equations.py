"""Haar transform, schedule, parameterisations and loss weights against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.diffusion import haar, schedule
from meddiff.diffusion.haar import haar_transform, haar_transform_of_pixels, inverse_haar_transform
from meddiff.diffusion.objective import loss_weight
from meddiff.diffusion.pixels import to_unit_range
from meddiff.diffusion.schedule import ShiftedCosineSchedule, alpha_sigma

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([8, 32, 64, 224, 256])


def draw(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(shape=SHAPES, seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_haar_is_orthonormal_but_for_the_factor_two(shape, seed):
    n, channels, height, width = shape
    one, other = draw((2, n, channels, 2 * height, 2 * width), seed)
    product = (haar_transform(one) * haar_transform(other)).sum()
    torch.testing.assert_close(product, (one * other).sum() / 4, atol=1e-4, rtol=1e-4)


@given(shape=SHAPES, seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_haar_and_its_inverse_undo_each_other(shape, seed):
    n, channels, height, width = shape
    images = draw((n, channels, 2 * height, 2 * width), seed)
    torch.testing.assert_close(inverse_haar_transform(haar_transform(images)), images, atol=1e-5, rtol=0)
    coefficients = draw((n, 4 * channels, height, width), seed)
    torch.testing.assert_close(
        haar_transform(inverse_haar_transform(coefficients)), coefficients, atol=1e-5, rtol=0
    )


def test_haar_bands_of_one_block_in_the_order_of_the_authors():
    a, b, c, d = 0.9, -0.4, 0.3, 0.2
    grey, other = torch.tensor([[a, b], [c, d]]), torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    bands = haar_transform(torch.stack((grey, other))[None])
    expected = [a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d, 0, 4, 0, 0]
    torch.testing.assert_close(bands.flatten(), torch.tensor(expected) / 4)


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_haar_keeps_the_range(seed):
    images = draw((2, 1, 4, 4), seed).sign()
    assert haar_transform(images).abs().max() <= 1


@pytest.mark.parametrize("shape", [(1, 1, 3, 4), (1, 1, 4, 3)])
def test_haar_refuses_odd_sides(shape):
    with pytest.raises(ValueError, match="even sides"):
        haar_transform(torch.zeros(shape))


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(
        st.integers(1, 3), st.sampled_from([2, 6, 8]), st.sampled_from([2, 4, 10]), st.sampled_from([1, 3])
    ),
    seed=st.integers(0, 2**31),
)
def test_haar_of_pixels_is_that_of_the_images(shape, seed):
    pixels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    expected = haar_transform(to_unit_range(pixels).double())
    torch.testing.assert_close(haar_transform_of_pixels(pixels), expected.float(), rtol=0, atol=3e-7)


def test_haar_of_pixels_is_the_same_in_parts(monkeypatch):
    pixels = torch.randint(
        0, 256, (5, 6, 4, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    at_once = haar_transform_of_pixels(pixels)
    monkeypatch.setattr(haar, "_CACHED_PIXELS", 4 * 6 * 4)  # 15 channels: four parts, the last one shorter
    assert torch.equal(haar_transform_of_pixels(pixels), at_once)


def test_haar_of_black_and_white_pixels():
    pixels = torch.zeros(1, 2, 4, 1, dtype=torch.uint8)
    pixels[..., 2:, :] = 255
    pixels[0, 0, 0] = 255
    bands = haar_transform_of_pixels(pixels)[0, :, 0]
    assert bands.T.tolist() == pytest.approx(torch.tensor([[-0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0]]).numpy())
    with pytest.raises(ValueError, match="even sides, got 2 x 3"):
        haar_transform_of_pixels(pixels[:, :, :3])


def test_inverse_haar_refuses_channels_that_are_not_bands():
    with pytest.raises(ValueError, match="four bands"):
        inverse_haar_transform(torch.zeros(1, 6, 2, 2))


@given(image=SIZES, noise=SIZES)
@settings(max_examples=20, deadline=None)
def test_end_points_of_the_schedule_are_three_shifts_away(image, noise):
    ends = ShiftedCosineSchedule(image, noise).logsnr(torch.tensor([0.0, 1.0]))
    shift = 3 * math.log(noise / image)
    torch.testing.assert_close(ends, torch.tensor([15 + shift, -15 + shift]), atol=2e-3, rtol=0)


@given(image=SIZES, noise=SIZES, limit=st.floats(2, 15))
@settings(max_examples=20, deadline=None)
def test_logsnr_falls_with_time(image, noise, limit):
    schedule = ShiftedCosineSchedule(image, noise, logsnr_max=limit, logsnr_min=-limit)
    assert (schedule.logsnr(torch.linspace(0, 1, 300)).diff() < 0).all()


def test_schedule_without_shift_is_the_cosine_schedule():
    """alpha = cos(pi t / 2) but for the truncation at +-15."""
    t = torch.linspace(0.05, 0.95, 19)
    alpha, sigma = alpha_sigma(ShiftedCosineSchedule(8, 8).logsnr(t), 1)
    torch.testing.assert_close(alpha, torch.cos(math.pi * t / 2), atol=1e-3, rtol=0)
    torch.testing.assert_close(sigma, torch.sin(math.pi * t / 2), atol=1e-3, rtol=0)


@given(logsnr=st.lists(st.floats(-20, 20), min_size=1, max_size=5), dims=st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_scales_preserve_variance_and_have_the_ratio(logsnr, dims):
    logsnr = torch.tensor(logsnr)
    alpha, sigma = alpha_sigma(logsnr, dims)
    assert alpha.shape == sigma.shape == (len(logsnr), *(1,) * (dims - 1))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha))
    ratio = (2 * (alpha.log() - sigma.log())).flatten()
    torch.testing.assert_close(ratio, logsnr, atol=1e-4, rtol=1e-5)


@given(logsnr=st.floats(-12, 12), x=st.floats(-1, 1), eps=st.floats(-5, 5))
@settings(max_examples=100, deadline=None)
def test_parameterisations_agree(logsnr, x, eps):
    alpha, sigma = alpha_sigma(torch.tensor([logsnr], dtype=torch.float64), 1)
    x, eps = torch.tensor([x], dtype=torch.float64), torch.tensor([eps], dtype=torch.float64)
    z = alpha * x + sigma * eps
    v = schedule.v_from_x_eps(x, eps, alpha, sigma)
    near = {"atol": 1e-10, "rtol": 1e-10}
    torch.testing.assert_close(schedule.eps_from_v(v, z, alpha, sigma), eps, **near)
    torch.testing.assert_close(schedule.x_from_v(v, z, alpha, sigma), x, **near)
    torch.testing.assert_close(schedule.x_from_eps(eps, z, alpha, sigma), x, **near)


LOGSNR = torch.linspace(-15, 11, 131)


def test_weights_in_eps_units():
    snr = LOGSNR.double().exp()
    clamped = snr.clamp(max=5)
    expected = {
        ("min_snr", "v_prediction"): clamped / snr,
        ("min_snr", "epsilon"): clamped / snr,
        ("official", "v_prediction"): 1 / (1 + clamped),
        ("official", "epsilon"): 1 / clamped,
    }
    for (kind, prediction), weight in expected.items():
        torch.testing.assert_close(loss_weight(LOGSNR, kind, prediction).double(), weight, rtol=1e-5, atol=0)


def test_weights_in_v_units():
    """eps_hat - eps = alpha (v_hat - v), so a weight of eps is SNR / (1 + SNR) of it for v."""
    snr = LOGSNR.double().exp()
    to_v = snr / (1 + snr)
    fixed = to_v * loss_weight(LOGSNR, "min_snr").double()
    torch.testing.assert_close(fixed, snr.clamp(max=5) / (1 + snr), rtol=1e-5, atol=0)
    coded = to_v * loss_weight(LOGSNR, "official").double()
    expected = torch.where(snr < 5, snr / (1 + snr) ** 2, snr / (6 * (1 + snr)))
    torch.testing.assert_close(coded, expected, rtol=1e-5, atol=0)
