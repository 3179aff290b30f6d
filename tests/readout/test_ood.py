"""How unlike the training data images are: the model of error profiles, its scores, and their file."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp

from error_samples import make_errors
from meddiff.errors import DataError
from meddiff.readout.from_logits import from_logits
from meddiff.readout.ood import (
    fit_profile,
    limits,
    logit_scores,
    profile_scores,
    read_profile,
    with_ood,
    write_profile,
)
from meddiff.readout.predictions import ood_scores, read_predictions, write_predictions
from meddiff.readout.profile import FLOOR, ErrorProfile, fit, hats, logarithms

BETWEEN, WITHIN = 0.3, 0.2


def drawn(images: int, steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Errors [I, S, 2] that rise with logSNR [I, S]: of an image all higher or lower, and each with noise."""
    rng = np.random.default_rng(seed)
    logsnr = rng.uniform(-10, 10, (images, steps))
    level = np.where(logsnr < 0, 0.5, 0.2) * logsnr
    own = BETWEEN * rng.standard_normal((images, 1)) + WITHIN * rng.standard_normal((images, steps))
    return np.exp(level + own)[..., None] * [0.9, 1.1], logsnr


ERRORS, LOGSNR = drawn(300, 40)
PROFILE = fit(ERRORS, LOGSNR)


def test_the_model_finds_what_errors_were_drawn_with():
    model, levels = PROFILE.model, np.linspace(-9, 9, 50)
    assert_allclose(model.mean(levels), np.where(levels < 0, 0.5, 0.2) * levels, atol=0.08)
    assert_allclose(np.sqrt(model.variance(levels)), WITHIN, rtol=0.1)
    # One number an image moves its errors at all levels alike.
    expected = BETWEEN**2 * (1 + FLOOR * np.eye(len(model.knots)))
    assert_allclose(model.covariance, expected, rtol=0.2)


def test_profiles_are_conditional_expectations_of_a_normal_distribution():
    model, (errors, logsnr) = PROFILE.model, drawn(1, 9, seed=1)
    hat, residual = hats(logsnr[0], model.knots), (logarithms(errors) - model.mean(logsnr))[0]
    covariance = hat @ model.covariance @ hat.T + np.diag(model.variance(logsnr[0]))
    expected = model.covariance @ hat.T @ np.linalg.solve(covariance, residual)
    assert_allclose(model.profiles(logarithms(errors), logsnr)[0], expected, rtol=1e-6)


def test_scores_depend_on_no_order_scale_or_step_that_was_not_evaluated():
    errors, logsnr = drawn(20, 12, seed=2)
    found = PROFILE(errors, logsnr)
    order = np.random.default_rng(0).permutation(12)
    longer = np.concatenate([errors[:, order], np.full((20, 3, 2), np.nan)], axis=1)
    again = PROFILE(longer, np.concatenate([logsnr[:, order], np.zeros((20, 3))], axis=1))
    scaled = fit(7 * ERRORS, LOGSNR)(7 * errors, logsnr)
    for kind, values in found.items():
        assert_allclose(again[kind], values, rtol=1e-9)
        assert_allclose(scaled[kind], values, rtol=1e-6)


@pytest.mark.parametrize("factor", [np.exp(5 * BETWEEN), np.exp(-5 * BETWEEN)])
def test_errors_that_are_too_high_or_too_low_are_unusual(factor):
    errors, logsnr = drawn(50, 12, seed=3)
    shifted = factor * errors
    low = logsnr < 0  # an image may be unlike others at some levels only
    part = np.where(low[..., None], shifted, errors)
    usual = PROFILE(errors, logsnr)["profile"]
    for unusual in (shifted, part):
        assert np.median(PROFILE(unusual, logsnr)["profile"]) > usual.max()


def validation(errors: np.ndarray, logsnr: np.ndarray):
    ids = [f"i{k}" for k in range(len(errors))]
    return make_errors(errors, logsnr, ids, np.zeros(len(ids)), ids, ["a", "b"], {})


def test_one_in_twenty_new_images_is_above_the_limit():
    _, quantiles = fit_profile(validation(ERRORS, LOGSNR), "errors_valid.nc")
    for kind, values in PROFILE(*drawn(2000, 40, seed=4)).items():
        # The quantile of 300 images itself varies by .0126.
        assert (values > quantiles[kind]).mean() == pytest.approx(0.05, abs=0.035)


def test_a_profile_is_read_as_it_was_written(tmp_path):
    images = validation(*drawn(10, 16, seed=5))
    path, written = tmp_path / "profile.json", fit_profile(images, "errors_valid.nc")
    write_profile(path, *written)
    profile, quantiles = read_profile(path)
    assert isinstance(profile, ErrorProfile) and quantiles == written[1]
    for kind, values in profile_scores(written[0], images).items():
        assert_allclose(profile_scores(profile, images)[kind], values, rtol=1e-12)
    path.write_text(path.read_text().replace('"knots"', '"knot"'))
    with pytest.raises(DataError, match=r"profile\.json: is no error profile .* fit it again"):
        read_profile(path)


def test_too_few_validation_images_are_said():
    images = validation(*drawn(1, 16))
    with pytest.raises(DataError, match=r"errors_valid\.nc: .* 1 validation images are too few, it takes 3"):
        fit_profile(images, "errors_valid.nc")


def test_scores_are_columns_of_predictions_whose_0_is_a_quantile_of_validation(tmp_path):
    ids, rng = [f"i{k}" for k in range(200)], np.random.default_rng(0)
    table = from_logits(ids, ids, rng.integers(3, size=200), rng.normal(size=(200, 3)), ["a", "b", "c"])
    found = logit_scores(table)
    logits = table.filter(regex="^score_").to_numpy()
    assert_allclose(found["energy"], -logsumexp(logits, axis=1))
    assert_allclose(found["max_softmax"], -table.filter(regex="^p_").to_numpy().max(axis=1))
    write_predictions(with_ood(table, found, limits(found)), tmp_path / "softmax.csv")
    columns = ood_scores(read_predictions(tmp_path / "softmax.csv"))
    assert list(columns) == ["max_softmax", "energy"]
    assert [(values > 0).mean() for values in columns.values()] == [0.05, 0.05]
