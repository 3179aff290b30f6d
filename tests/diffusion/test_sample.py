"""Samplers with a denoiser that knows the answer."""

from __future__ import annotations

import pytest
import torch

from gaussian_samples import DEVIATION, MEANS, GaussianDenoiser
from meddiff.diffusion.sample import Sampling, counterfactual, sample


def _unbounded() -> GaussianDenoiser:
    denoiser = GaussianDenoiser().eval()
    denoiser.x_bound = None
    return denoiser


def _noise(seed, shape):
    return lambda step: torch.randn(shape, generator=torch.Generator().manual_seed(1000 * seed + step))


@pytest.mark.parametrize(("sampler", "tolerance"), [("ancestral", 0.02), ("ddim", 0.02)])
@pytest.mark.parametrize("target", [0, 1])
def test_sampler_returns_mean_and_variance(sampler, tolerance, target):
    denoiser, shape = _unbounded(), (2000, 1, 4, 4)
    ids = torch.full((2000,), target)
    draw = _noise(1, shape)
    x = sample(denoiser, draw(0), ids, Sampling(1.0, steps=200, cfg_scale=1.0, sampler=sampler), draw)
    # 32,000 pixels: standard error of the mean .0017, of the deviation .0012; the rest is discretisation.
    assert x.mean().item() == pytest.approx(MEANS[target], abs=tolerance)
    assert x.std().item() == pytest.approx(DEVIATION, abs=tolerance)


def test_published_extra_step_loses_detail():
    """The authors' last step smooths what is left: the deviation comes out far too small at few steps."""
    denoiser, shape = _unbounded(), (500, 1, 4, 4)
    draw, ids = _noise(2, shape), torch.zeros(500, dtype=torch.int64)
    corrected, published = (
        sample(denoiser, draw(0), ids, Sampling(1.0, steps=10, cfg_scale=1.0, extra_last_step=extra), draw)
        for extra in (False, True)
    )
    assert published.std() < 0.9 * corrected.std()


def test_guidance_of_one_ignores_the_null_class_and_more_pushes_away_from_it():
    denoiser, shape = _unbounded(), (200, 1, 4, 4)
    draw, ids = _noise(3, shape), torch.ones(200, dtype=torch.int64)
    plain, guided = (
        sample(denoiser, draw(0), ids, Sampling(1.0, steps=50, cfg_scale=scale), draw) for scale in (1.0, 3.0)
    )
    assert guided.mean() > plain.mean() + 0.1


def test_factual_reconstruction_stays_close_and_counterfactual_moves_to_the_target():
    denoiser, shape = _unbounded(), (500, 1, 4, 4)
    x = MEANS[0] + DEVIATION * _noise(4, shape)(0)
    how = Sampling(0.4, steps=50, cfg_scale=1.0), _noise(5, shape)
    factual = counterfactual(denoiser, x, torch.zeros(500, dtype=torch.int64), *how)
    other = counterfactual(denoiser, x, torch.ones(500, dtype=torch.int64), *how)
    assert (factual - x).abs().mean() < 0.5 * (other - x).abs().mean()
    assert factual.mean().item() == pytest.approx(MEANS[0], abs=0.02)
    assert other.mean() > factual.mean() + 0.3
