"""The paired permutation test: equal to known tests, and right for images in groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm, permutation_test

from meddiff.evaluate.metrics.images import Images
from meddiff.evaluate.paired import AurocTest, auroc_test, holm, paired_test
from meddiff.evaluate.statistics import Resampling
from meddiff.readout.from_logits import from_logits


def test_without_groups_it_is_mcnemars_mid_p_test() -> None:
    a = np.array([True] * 10 + [False] * 2 + [True] * 5)
    b = np.array([False] * 10 + [True] * 2 + [True] * 5)
    found = paired_test(a, b, np.arange(17))
    assert (found.only_a, found.only_b) == (10, 2)
    assert found.p_value == pytest.approx(binomtest(10, 12).pvalue - binom.pmf(10, 12, 0.5), rel=1e-12)
    assert paired_test(a, a, np.arange(17)).p_value == 1
    with pytest.raises(ValueError, match="same images"):
        paired_test(a, b[:-1], np.arange(17))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(3, 9))
def test_it_is_the_exact_test_of_all_swaps_of_groups(seed: int, number: int) -> None:
    generator = np.random.default_rng(seed)
    groups = generator.integers(0, number, size=30)
    a, b = generator.random(30) < 0.7, generator.random(30) < 0.4
    sums = np.array([(a[groups == g].sum() - b[groups == g].sum()) for g in np.unique(groups)], dtype=float)
    expected = permutation_test(
        (sums,),
        lambda x, axis: np.abs(x.sum(axis=axis)),
        permutation_type="samples",
        n_resamples=np.inf,
        alternative="greater",
    )
    as_large = np.isclose(expected.null_distribution, expected.statistic).mean()
    found = paired_test(a, b, groups).p_value
    assert found == pytest.approx(expected.pvalue - as_large / 2 if sums.any() else 1, abs=1e-12)


@pytest.mark.parametrize(("size", "alike"), [(5, 0.6), (5, 0.9), (1, 0.0)])
def test_type_one_error_is_the_level(size: int, alike: float) -> None:
    """Two equally good classifiers, of which each is right or wrong on most of a patient's images at once."""
    generator = np.random.default_rng([size, int(10 * alike)])
    images, runs = 600, 4000
    groups = np.arange(images) // size

    def right() -> np.ndarray:
        if size == 1:
            return generator.random((runs, images)) < 0.8
        strength = (1 - alike) / alike
        rates = generator.beta(0.8 * strength, 0.2 * strength, (runs, groups.max() + 1))
        return generator.random((runs, images)) < rates[:, groups]

    p_values = [paired_test(a, b, groups).p_value for a, b in zip(right(), right(), strict=True)]
    assert 0.04 <= np.mean(np.array(p_values) <= 0.05) <= 0.06


def test_holm_has_known_values() -> None:
    # Wright (1992), Biometrics 48, table 1: the adjusted values by Holm's method.
    p = [0.0002, 0.0011, 0.0012, 0.015, 0.02, 0.03, 0.1, 0.4]
    expected = [0.0016, 0.0077, 0.0077, 0.075, 0.08, 0.09, 0.2, 0.4]
    np.testing.assert_allclose(holm(p), expected)
    np.testing.assert_allclose(holm(p[::-1]), expected[::-1])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    assert holm([]).shape == (0,)


def scored(latent: np.ndarray, labels: np.ndarray, groups: np.ndarray, scale: float) -> Images:
    """Images of two classes with these log-odds, on a scale that is no matter to their ranks."""
    ids = [str(i) for i in range(len(labels))]
    logits = np.stack([np.zeros(len(labels)), scale * latent], axis=1)
    return Images(from_logits(ids, groups.astype(str).tolist(), labels, logits, ["no", "yes"]), False)


def simulated(generator: np.random.Generator, signal: tuple[float, float], size: int) -> AurocTest:
    """Two classifiers of 120 images in groups of `size`, alike within groups, with an effect of the class."""
    labels = np.arange(120) // size % 2
    groups = np.arange(120) // size
    common = generator.standard_normal(groups.max() + 1)[groups]
    images = []
    for effect, scale in zip(signal, (1.0, 0.2), strict=True):
        shared = generator.standard_normal(groups.max() + 1)[groups]
        latent = effect * (labels - 0.5) + (common + shared + generator.standard_normal(120)) / np.sqrt(3)
        images.append(scored(latent, labels, groups, scale))
    return auroc_test(*images, Resampling(bootstrap_samples=200, confidence=0.95, bootstrap_seed=1))


@pytest.mark.parametrize("size", [1, 4])
def test_equal_aurocs_are_rarely_told_apart_and_the_interval_covers(size: int) -> None:
    """Two-sided tests at 5 %; 150 runs have a standard error of 1.8 %."""
    generator = np.random.default_rng(size)
    found = [simulated(generator, (1.5, 1.5), size) for _ in range(150)]
    assert np.mean([test.p_value <= 0.05 for test in found]) <= 0.05 + 3 * 0.018
    assert np.mean([test.low <= 0 <= test.high for test in found]) >= 0.95 - 3 * 0.018
    truth = norm.cdf(2.0 / np.sqrt(2)) - norm.cdf(1.0 / np.sqrt(2))
    found = [simulated(generator, (2.0, 1.0), size) for _ in range(100)]
    assert np.mean([test.low <= truth <= test.high for test in found]) >= 0.95 - 3 * 0.022
    assert np.mean([test.p_value <= 0.05 for test in found]) > 0.6 - 0.3 * (size > 1)


def test_equal_rankings_do_not_differ_and_perfect_ones_may_elsewhere() -> None:
    labels, groups = np.arange(60) % 2, np.arange(60)
    latent = labels - 0.5 + np.linspace(0, 0.1, 60)
    how = Resampling(bootstrap_samples=100, confidence=0.95, bootstrap_seed=0)
    found = auroc_test(*(scored(latent, labels, groups, scale) for scale in (1.0, 3.0)), how)
    assert (found.first, found.second, found.p_value) == (1, 1, 1)
    assert found.low < 0 < found.high
    one_class = scored(latent, np.ones(60, dtype=int), groups, 1.0)
    assert np.isnan(auroc_test(one_class, one_class, how).p_value)
    with pytest.raises(ValueError, match="same images"):
        auroc_test(one_class, scored(latent, labels, groups, 1.0), how)
