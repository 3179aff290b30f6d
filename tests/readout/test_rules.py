"""Decision rules: scores, probabilities and predictions from errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from meddiff.diffusion import vote
from meddiff.diffusion.level_weights import fit_level_weights
from meddiff.readout.candidates import CANDIDATES
from meddiff.readout.fitted import FITTED
from meddiff.readout.rules import RULES, Rule
from meddiff.readout.scores import Readout

EVERY = RULES | CANDIDATES

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


def training(classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors, logSNR and labels to fit rules on."""
    generator = np.random.default_rng(classes)
    labels = np.arange(40) % classes
    errors = 100 + generator.normal(size=(40, 20, classes)) - np.eye(classes)[labels][:, None]
    return errors, generator.normal(0, 4, (40, 20)), labels


def rule_of(name: str, classes: int) -> Rule:
    return EVERY[name] if name in EVERY else FITTED[name](*training(classes))


@pytest.mark.parametrize("name", EVERY)
@quick
@given(scored(), st.randoms(use_true_random=False))
def test_every_rule_is_a_rule(name: str, data: tuple[np.ndarray, np.ndarray], random: object) -> None:
    errors, logsnr = data
    found = EVERY[name](errors, logsnr)
    assert found.scores.shape == found.probabilities.shape == (len(errors), errors.shape[2])
    assert found.scores.dtype == found.probabilities.dtype == np.float64
    assert np.isfinite(found.scores).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    of_predicted = np.take_along_axis(found.scores, found.prediction[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(of_predicted, found.scores.max(axis=1))
    # Classes are treated alike.
    order = list(range(errors.shape[2]))
    random.shuffle(order)
    there = EVERY[name](errors[..., order], logsnr)
    np.testing.assert_array_equal(np.asarray(order)[there.prediction], found.prediction)
    np.testing.assert_allclose(there.scores, found.scores[:, order])
    np.testing.assert_allclose(there.probabilities, found.probabilities[:, order])
    # A step that was not evaluated in full says nothing: what it has may be anything.
    other = np.where(np.isfinite(errors).all(axis=2, keepdims=True), errors, np.nan)
    same(EVERY[name](other, logsnr), found)


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


@pytest.mark.parametrize("name", ["pairwise", "condorcet"])
@quick
@given(scored(classes=2), st.booleans())
def test_of_two_classes_the_paper_decides(
    name: str, data: tuple[np.ndarray, np.ndarray], equal: bool
) -> None:
    errors, logsnr = data
    errors = np.round(errors) if equal else errors  # some votes are divided
    found, paper = EVERY[name](errors, logsnr), EVERY["majority"](errors, logsnr)
    np.testing.assert_array_equal(found.prediction, paper.prediction)
    if name == "pairwise":
        same(found, paper)
    else:
        np.testing.assert_allclose(np.exp(paper.scores), found.probabilities)


@quick
@given(scored())
def test_votes_of_pairs_by_plain_loops(data: tuple[np.ndarray, np.ndarray]) -> None:
    errors, logsnr = data
    borda, maximin = (EVERY[name](errors, logsnr) for name in ("pairwise", "condorcet"))
    classes = range(errors.shape[2])
    for i, image in enumerate(errors):
        steps = evaluated(image)
        wins = {(k, j): sum(own[k] < own[j] for own in steps) for k in classes for j in classes}
        points = np.array([sum(wins[k, j] for j in classes if j != k) for k in classes])
        pairs = len(classes) * (len(classes) - 1) / 2
        smoothed = (points / pairs + 0.5) / (len(steps) + len(classes) / 2)
        np.testing.assert_allclose(np.exp(borda.scores[i]), smoothed)
        odds = [
            min(np.log((wins[k, j] + 0.5) / (wins[j, k] + 0.5)) for j in classes if j != k) for k in classes
        ]
        np.testing.assert_allclose(maximin.scores[i], np.array(odds) / 2, atol=1e-12)


def test_a_divided_plurality_loses_to_the_class_that_is_never_last() -> None:
    # Class 0 is second at every step; classes 1 and 2 are first at some and last at the others.
    errors = np.array([[[2, 1, 3]] * 5 + [[2, 3, 1]] * 4], dtype=float)
    logsnr = np.zeros((1, 9))
    decided = {name: EVERY[name](errors, logsnr).prediction.tolist() for name in EVERY}
    assert decided["majority"] == [1]
    assert decided["pairwise"] == [1] and decided["condorcet"] == [1]
    # Against class 2, class 1 wins five of nine; with a third rival of the sort it does not.
    errors = np.array([[[2, 1, 3, 4]] * 4 + [[2, 3, 1, 4]] * 3 + [[2, 3, 4, 1]] * 3], dtype=float)
    decided = {name: EVERY[name](errors, np.zeros((1, 10))).prediction.tolist() for name in EVERY}
    assert decided["majority"] == [1]
    assert decided["pairwise"] == [0] and decided["condorcet"] == [0]


@quick
@given(scored())
def test_robust_means_are_those_of_scipy(data: tuple[np.ndarray, np.ndarray]) -> None:
    errors, logsnr = data
    medians, trimmed = (EVERY[name](errors, logsnr).scores for name in ("median", "trimmed_mean"))
    for i, image in enumerate(errors):
        centred = evaluated(image)
        centred = centred - centred.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(medians[i], -np.median(centred, axis=0) / 2, atol=1e-9)
        np.testing.assert_allclose(trimmed[i], -stats.trim_mean(centred, 0.1, axis=0) / 2, atol=1e-9)


@quick
@given(scored(classes=2))
def test_signed_ranks_are_those_of_scipy(data: tuple[np.ndarray, np.ndarray]) -> None:
    errors, logsnr = data
    scores = EVERY["signed_rank"](errors, logsnr).scores
    for image, found in zip(errors, scores, strict=True):
        difference = np.diff(evaluated(image), axis=1)[:, 0]
        n = len(difference)
        larger = stats.wilcoxon(difference, alternative="greater").statistic  # sum of positive ranks
        z = (2 * larger - n * (n + 1) / 2) / np.sqrt(n * (n + 1) * (2 * n + 1) / 6)
        assert found[0] - found[1] == pytest.approx(z)


@quick
@given(scored())
def test_logarithms_and_scaled_errors_are_t_scores_of_other_errors(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    errors, logsnr = data
    same(EVERY["log_mean"](errors, logsnr), EVERY["t_score"](np.log(errors), logsnr))
    scales = np.full_like(errors, np.nan)
    for image, levels, own in zip(errors, logsnr, scales, strict=True):
        here = np.flatnonzero(np.isfinite(image).all(axis=1))
        order = here[np.argsort(levels[here])]
        centred = image[order] - image[order].mean(axis=1, keepdims=True)
        size = min(31, len(image))
        for place, step in enumerate(order):
            window = centred[max(0, place - size // 2) : place - size // 2 + size]
            own[step] = np.sqrt((window**2).mean())
    expected = EVERY["t_score"](errors / scales, logsnr)
    np.testing.assert_allclose(EVERY["scaled_mean"](errors, logsnr).scores, expected.scores, rtol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", FITTED)
def test_what_is_fitted_finds_the_class_and_ignores_what_was_not_evaluated(name: str, classes: int) -> None:
    rule, (errors, logsnr, labels) = rule_of(name, classes), training(classes)
    found = rule(errors, logsnr)
    assert (found.prediction == labels).mean() >= 0.95
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    late = errors.copy()
    late[:, 15:, 0] = np.nan
    some = rule(late, logsnr)
    late[:, 15:] = np.nan
    same(rule(late, logsnr), some)
    assert np.isfinite(some.scores).all()


def test_weights_of_levels_are_applied_to_votes_and_errors() -> None:
    errors, logsnr, labels = training(3)
    weights = fit_level_weights(errors, logsnr, labels)
    votes, means = (rule_of(name, 3)(errors, logsnr) for name in ("weighted_votes", "weighted_errors"))
    for i, (image, levels) in enumerate(zip(errors, logsnr, strict=True)):
        counts = np.bincount(image.argmin(axis=1), weights.of_votes(levels), minlength=3)
        np.testing.assert_allclose(votes.probabilities[i], counts / counts.sum())
        np.testing.assert_allclose(means.scores[i], -(weights.of_errors(levels) @ image) / 20 / 2)


@pytest.mark.parametrize("name", ["centred_votes", "centred_mean"])
def test_a_class_that_is_better_at_every_image_is_not_preferred(name: str) -> None:
    errors, logsnr, labels = training(3)
    rule = FITTED[name](errors - np.array([2.0, 0, 0]), logsnr, labels)
    shifted = rule(errors - np.array([2.0, 0, 0]), logsnr)
    assert (EVERY["majority"](errors - np.array([2.0, 0, 0]), logsnr).prediction == 0).mean() > 0.9
    np.testing.assert_allclose(shifted.scores, FITTED[name](errors, logsnr, labels)(errors, logsnr).scores)
