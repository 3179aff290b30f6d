"""Intervals of shares: exact for independent images, and covering for images in groups."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binomtest, norm, t

from meddiff.evaluate.over_seeds import limits_over_seeds
from meddiff.evaluate.proportion import (
    Sample,
    bounded_interval,
    clopper_pearson,
    difference_interval,
    share_interval,
)
from meddiff.evaluate.statistics import difference_limits

LEAST_COVERAGE = 0.93  # of intervals of 95 %
RUNS = 1500


def covers(limits: tuple[np.ndarray, np.ndarray], truth: float) -> float:
    """Share of intervals that have the truth in them."""
    return float(((limits[0] <= truth) & (truth <= limits[1])).mean())


def grouped(images: int, size: int, share: float, alike: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Beta-binomial right and wrong [I, RUNS] with correlation `alike` within groups, and the groups [I]."""
    generator = np.random.default_rng([seed, images, size, int(1000 * share)])
    groups = np.arange(images) // size
    if size == 1:
        return generator.random((images, RUNS)) < share, groups
    strength = (1 - alike) / alike
    rates = generator.beta(share * strength, (1 - share) * strength, (groups.max() + 1, RUNS))
    return generator.random((images, RUNS)) < rates[groups], groups


@pytest.mark.parametrize(("hits", "images"), [(0, 8), (8, 8), (10, 10), (7, 10), (119, 120), (120, 120)])
def test_independent_images_have_the_exact_interval(hits: int, images: int) -> None:
    found = share_interval(np.arange(images) < hits, np.arange(images), 0.95)
    expected = binomtest(hits, images).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose(found, [expected.low, expected.high], atol=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("images", [10, 120, 2000])
@pytest.mark.parametrize(("size", "alike"), [(1, 0.0), (2, 0.5), (5, 0.1), (5, 0.6), (5, 0.95)])
def test_the_interval_of_a_share_covers(images: int, size: int, alike: float, share: float) -> None:
    right, groups = grouped(images, size, share, alike, seed=0)
    assert covers(share_interval(right, groups, 0.95), share) >= LEAST_COVERAGE


def test_groups_of_unequal_sizes_cover() -> None:
    sizes = np.random.default_rng(0).geometric(0.3, size=200)
    groups = np.repeat(np.arange(200), sizes)
    for share in (0.8, 0.95, 0.99):
        rates = np.random.default_rng(1).beta(share * 0.5, (1 - share) * 0.5, (200, RUNS))  # correlation 2/3
        right = np.random.default_rng(2).random((len(groups), RUNS)) < rates[groups]
        assert covers(share_interval(right, groups, 0.95), share) >= LEAST_COVERAGE


def test_groups_that_are_all_alike_count_once() -> None:
    right = np.repeat(np.arange(200) < 140, 5)
    low, high = share_interval(right, np.repeat(np.arange(200), 5), 0.95)
    number = 200 * (t.ppf(0.975, 999) / t.ppf(0.975, 199)) ** 2  # Korn and Graubard's formula
    assert low == pytest.approx(beta.ppf(0.025, 0.7 * number, 0.3 * number + 1), abs=1e-3)
    assert high == pytest.approx(beta.ppf(0.975, 0.7 * number + 1, 0.3 * number), abs=1e-3)
    everything = share_interval(np.ones(1000), np.repeat(np.arange(200), 5), 0.95)
    np.testing.assert_allclose(everything, [binomtest(200, 200).proportion_ci(0.95).low, 1])


def test_limits_hold_the_value_and_know_no_images() -> None:
    for hits in range(7):
        value = hits / 6
        low, high = share_interval(np.arange(6) < hits, ["a", "a", "b", "b", "c", "d"], 0.95)
        assert 0 <= low <= value <= high <= 1
    assert share_interval([], [], 0.95) == (0, 1)
    assert np.isnan(clopper_pearson(np.nan, 10, 0.95)).all()
    assert clopper_pearson(0.0, 0, 0.95) == (0, 1)


def test_images_of_one_group_count_as_one() -> None:
    for hits in (3, 6):
        low, high = share_interval(np.arange(6) < hits, ["a"] * 6, 0.95)
        np.testing.assert_allclose([low, high], clopper_pearson(hits / 6, 1, 0.95))
    low, high = difference_interval(np.ones(6), ["a"] * 6, 0.95)
    assert low < 0 < high


def test_seeds_are_no_further_images() -> None:
    one = share_interval(np.arange(50) < 40, np.arange(50), 0.95)
    mixed = share_interval(np.full(50, 0.8), np.arange(50), 0.95)  # every image right for 8 of 10 seeds
    np.testing.assert_allclose(mixed, one)


def test_a_variance_below_that_of_a_share_narrows_only_where_asked() -> None:
    sample = Sample.of(np.arange(1000))
    plain = bounded_interval(0.05, 1e-5, 1000, sample, 0.95)
    small = bounded_interval(0.05, 1e-5, 1000, sample, 0.95, smallest_effect=0.0)
    np.testing.assert_allclose(plain, clopper_pearson(0.05, 1000, 0.95))
    assert small[1] - small[0] == pytest.approx(2 * 1.96 * np.sqrt(1e-5), rel=0.08)


@pytest.mark.parametrize("images", [20, 120, 1000])
@pytest.mark.parametrize(("first", "second"), [(0.0, 0.0), (0.02, 0.0), (0.01, 0.01), (0.1, 0.05)])
@pytest.mark.parametrize("size", [1, 5])
def test_the_interval_of_a_paired_difference_covers(
    images: int, size: int, first: float, second: float
) -> None:
    generator = np.random.default_rng([images, size, int(100 * first), int(100 * second)])
    groups = np.arange(images) // size
    own, shared = generator.random((images, RUNS)), generator.random((groups.max() + 1, RUNS))[groups]
    draw = np.where(generator.random((images, RUNS)) < 0.7, shared, own) if size > 1 else own
    differences = (draw < first) * 1.0 - ((draw >= first) & (draw < first + second))
    assert covers(difference_interval(differences, groups, 0.95), first - second) >= LEAST_COVERAGE


def test_classifiers_that_never_differ_may_still_differ_elsewhere() -> None:
    low, high = difference_interval(np.zeros(120), np.arange(120), 0.95)
    half = norm.ppf(0.975) * np.sqrt(2 / 122 / 122)  # Bonett and Price's formula
    np.testing.assert_allclose([low, high], [-half, half])


def test_limits_of_a_difference_of_two_shares_cover() -> None:
    generator = np.random.default_rng(0)
    for first, second in ((0.95, 0.6), (0.99, 0.99), (0.5, 0.5)):
        sides = [generator.binomial(number, p, RUNS) / number for p, number in ((first, 80), (second, 40))]
        limits = [clopper_pearson(side, n, 0.95) for side, n in zip(sides, (80, 40), strict=True)]
        found = difference_limits(sides[0], limits[0], sides[1], limits[1])
        assert covers(found, first - second) >= LEAST_COVERAGE


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("of_images", "of_seeds"), [(1.0, 0.0), (1.0, 0.4), (3.0, 0.3)])
def test_the_interval_over_seeds_covers_other_images_and_seeds(
    seeds: int, of_images: float, of_seeds: float
) -> None:
    """Probit model with effects of images, of seeds (a training each) and of both together."""
    generator = np.random.default_rng([seeds, int(of_images), int(10 * of_seeds)])
    total = np.sqrt(1 + of_images**2 + of_seeds**2)
    for truth in (0.6, 0.9):
        latent = norm.ppf(truth) * total + of_images * generator.standard_normal((120, RUNS, 1))
        latent = latent + of_seeds * generator.standard_normal((1, RUNS, seeds))
        right = latent + generator.standard_normal((120, RUNS, seeds)) > 0
        limits = share_interval(right.reshape(120, -1), np.arange(120), 0.95)
        images_only = tuple(side.reshape(RUNS, seeds).mean(axis=1) for side in limits)
        values = right.mean(axis=0).T
        assert covers(limits_over_seeds(values, images_only, 0.95), truth) >= LEAST_COVERAGE
        if of_seeds > 0.3 and truth == 0.6:  # what images leave open is not enough
            assert covers(images_only, truth) < LEAST_COVERAGE


def test_one_seed_and_equal_seeds_have_the_interval_of_their_images() -> None:
    assert limits_over_seeds([0.8], (0.7, 0.9), 0.95) == (0.7, 0.9)
    np.testing.assert_allclose(limits_over_seeds([0.8, 0.8], (0.7, 0.9), 0.95), (0.7, 0.9))
