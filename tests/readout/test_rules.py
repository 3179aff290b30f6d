"""Decision rules: scores, probabilities and predictions from errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.diffusion import vote
from meddiff.readout.rules import RULES, Readout

quick = settings(max_examples=20, deadline=None)


@st.composite
def scored(draw: st.DrawFn, classes: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Errors [I, S, K] with a common level in each step, all different, and logSNR [I, S].

    Some steps are missing, or some classes of them, but never an image's first one.
    """
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 12)), classes or draw(st.integers(2, 4)))
    errors = generator.uniform(50, 4000, (*shape[:2], 1)) + generator.normal(size=shape)
    missing = generator.random(shape) < draw(st.sampled_from([0, 0.2]))
    missing[:, 0] = False
    return np.where(missing, np.nan, errors), generator.normal(0, 4, shape[:2])


def evaluated(image: np.ndarray) -> np.ndarray:
    """The steps of one image that count."""
    return image[np.isfinite(image).all(axis=1)]


@pytest.mark.parametrize("name", RULES)
@quick
@given(scored(), st.randoms(use_true_random=False))
def test_every_rule_is_a_rule(name: str, data: tuple[np.ndarray, np.ndarray], random: object) -> None:
    errors, logsnr = data
    found = RULES[name](errors, logsnr)
    assert found.scores.shape == found.probabilities.shape == (len(errors), errors.shape[2])
    assert found.scores.dtype == found.probabilities.dtype == np.float64
    assert np.isfinite(found.scores).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    of_predicted = np.take_along_axis(found.scores, found.prediction[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(of_predicted, found.scores.max(axis=1))
    # Classes are treated alike.
    order = list(range(errors.shape[2]))
    random.shuffle(order)
    there = RULES[name](errors[..., order], logsnr)
    np.testing.assert_array_equal(np.asarray(order)[there.prediction], found.prediction)
    np.testing.assert_allclose(there.scores, found.scores[:, order])
    np.testing.assert_allclose(there.probabilities, found.probabilities[:, order])
    # A step that was not evaluated in full says nothing: what it has may be anything.
    other = np.where(np.isfinite(errors).all(axis=2, keepdims=True), errors, np.nan)
    same(RULES[name](other, logsnr), found)


def same(one: Readout, other: Readout) -> None:
    for field in ("scores", "probabilities", "prediction"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


@quick
@given(scored())
def test_majority_scores_are_logarithms_of_smoothed_shares(data: tuple[np.ndarray, np.ndarray]) -> None:
    errors, logsnr = data
    found = RULES["majority"](errors, logsnr)
    for image, scores in zip(errors, found.scores, strict=True):
        steps = evaluated(image)
        votes = np.bincount(steps.argmin(axis=1), minlength=errors.shape[2])
        np.testing.assert_allclose(np.exp(scores), (votes + 0.5) / (len(steps) + errors.shape[2] / 2))


@quick
@given(scored())
def test_the_mean_decides_by_the_lowest(data: tuple[np.ndarray, np.ndarray]) -> None:
    errors, logsnr = data
    found = RULES["mean"](errors, logsnr)
    for image, scores in zip(errors, found.scores, strict=True):
        np.testing.assert_allclose(scores, -evaluated(image).mean(axis=0) / 2)
    logs = np.log(found.probabilities)
    differences = found.scores - found.scores[:, :1]
    np.testing.assert_allclose(logs - logs[:, :1], differences, atol=1e-6)


@quick
@given(scored())
def test_t_scores_are_paired_with_the_lowest_mean(data: tuple[np.ndarray, np.ndarray]) -> None:
    errors, logsnr = data
    found = RULES["t_score"](errors, logsnr)
    np.testing.assert_array_equal(found.prediction, RULES["mean"](errors, logsnr).prediction)
    for image, best, scores in zip(errors, found.prediction, found.scores, strict=True):
        steps = evaluated(image)
        for k, own in enumerate(steps.T):
            d = own - steps[:, best]
            t = d.mean() / (d.std(ddof=1) / np.sqrt(len(image))) if k != best and len(d) > 1 else 0
            assert scores[k] == pytest.approx(-t, rel=1e-4)


@quick
@given(scored(classes=2))
def test_of_two_classes_the_t_scores_are_the_uncertainty(data: tuple[np.ndarray, np.ndarray]) -> None:
    found = RULES["t_score"](*data)
    np.testing.assert_array_equal(found.scores.min(axis=1), vote.t_score(data[0]))
    assert (found.scores.max(axis=1) == 0).all()
