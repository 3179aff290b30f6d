"""Weights of noise levels: the formulas, recovered from errors made by them."""

from __future__ import annotations

import numpy as np
import pytest

from meddiff.diffusion.level_weights import fit_level_weights

IMAGES, STEPS = 200, 150


def made(classes: int, seed: int = 0):
    """Errors in which votes are right more often, and errors further apart, towards high logSNR."""
    generator = np.random.default_rng(seed)
    label = np.arange(IMAGES) % classes
    logsnr = generator.uniform(-10, 10, (IMAGES, STEPS))
    deviation = np.exp(-0.1 * logsnr)
    gap = deviation * (0.2 + 0.06 * (logsnr + 10))
    errors = 100 + deviation[..., None] * generator.standard_normal((IMAGES, STEPS, classes))
    errors -= gap[..., None] * np.eye(classes)[label][:, None]
    return errors, logsnr, label


@pytest.mark.parametrize("classes", [2, 3])
def test_weight_of_an_error_is_twice_mean_over_variance(classes: int) -> None:
    errors, logsnr, label = made(classes)
    weights = fit_level_weights(errors, logsnr, label)
    levels = np.array([-6.0, 0.0, 6.0])
    share = (classes - 1) / classes  # own class against the mean of all classes, itself included
    mean = np.exp(-0.1 * levels) * (0.2 + 0.06 * (levels + 10)) * share
    variance = np.exp(-0.2 * levels) * share
    np.testing.assert_allclose(weights.of_errors(levels), 2 * mean / variance, rtol=0.12)


def test_weighted_errors_are_minus_twice_log_likelihoods() -> None:
    errors, logsnr, label = made(2)
    weights = fit_level_weights(errors, logsnr, label)
    level = 4.0
    gap, variance = np.exp(-0.4) * (0.2 + 0.06 * 14), 2 * np.exp(-0.8)  # of the difference of two errors
    # Two Gaussians at -gap and +gap: log-likelihood ratio 2 gap d / variance.
    assert weights.of_errors(np.array(level)) / 2 == pytest.approx(2 * gap / variance, rel=0.12)


@pytest.mark.parametrize("classes", [2, 4])
def test_weight_of_a_vote_is_its_log_odds(classes: int) -> None:
    generator = np.random.default_rng(1)
    label = np.arange(IMAGES) % classes
    logsnr = generator.uniform(-10, 10, (IMAGES, STEPS))
    p = 1 / classes + 0.03 * np.maximum(logsnr, 0)
    other = (label[:, None] + generator.integers(1, classes, logsnr.shape)) % classes
    winner = np.where(generator.random(logsnr.shape) < p, label[:, None], other)
    weights = fit_level_weights(1.0 - np.eye(classes)[winner], logsnr, label)
    for level in (3.0, 7.0):
        right = 1 / classes + 0.03 * level
        expected = np.log((classes - 1) * right / (1 - right))
        assert weights.of_votes(np.array(level)) == pytest.approx(expected, abs=0.12)
    below = weights.of_votes(np.array([-8.0, -5.0]))  # chance
    assert (below > 0).all() and (below < 0.15).all()


def test_levels_never_seen_take_the_nearest_weight() -> None:
    errors, logsnr, label = made(2)
    weights = fit_level_weights(errors, logsnr, label)
    ends = np.array([logsnr.min(), logsnr.max()])
    np.testing.assert_array_equal(weights.of_errors(np.array([-40.0, 40.0])), weights.of_errors(ends))
    gap = (logsnr < -2) | (logsnr > 2)
    patchy = np.where(gap, logsnr, -9.0)
    assert np.isfinite(fit_level_weights(errors, patchy, label).of_votes(np.linspace(-12, 12, 50))).all()


@pytest.mark.parametrize("constant", [True, False])
def test_errors_that_say_nothing_still_have_weights(constant: bool) -> None:
    errors, logsnr, label = made(2)
    errors = np.ones_like(errors) if constant else np.random.default_rng(0).permuted(errors, axis=2)
    weights = fit_level_weights(errors, logsnr, label)
    for values in (weights.of_votes(logsnr), weights.of_errors(logsnr)):
        assert np.isfinite(values).all() and (values > 0).all()


def test_no_validation_images() -> None:
    with pytest.raises(ValueError, match="at least one validation image"):
        fit_level_weights(np.empty((0, 3, 2)), np.empty((0, 3)), np.empty(0, int))
