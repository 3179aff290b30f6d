"""In which order steps are evaluated: which come first, and that all else stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.config.schema.experiment import ScoreConfig, StoppingConfig
from meddiff.diffusion import vote
from meddiff.diffusion.step_order import by_number, in_order, spread_order
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps, used_steps

NAMES = ["a", "b", "c", "d"]


def levels(images: int, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-15, 15, (images, steps)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(steps=st.integers(1, 60), seed=st.integers(0, 1000), distinct=st.booleans())
def test_every_step_comes_once_and_depends_on_its_image_only(steps, seed, distinct):
    logsnr = levels(4, steps, seed)
    if not distinct:
        logsnr = logsnr.round(-1)
    order = spread_order(logsnr, seed, NAMES)
    assert (np.sort(order, axis=1) == np.arange(steps)).all()
    np.testing.assert_array_equal(order[2:3], spread_order(logsnr[2:3], seed, NAMES[2:3]))


@pytest.mark.parametrize("first", [1, 5, 13, 55, 200])
def test_every_beginning_covers_the_levels_evenly(first):
    """The shares of the levels below each of n steps are nearly those of n steps at equal distances."""
    steps, images = 501, 40
    names = [str(i) for i in range(images)]
    logsnr = levels(images, steps)
    chosen = np.take_along_axis(logsnr, spread_order(logsnr, 0, names), axis=1)[:, :first]
    ranks = (np.sort(logsnr, axis=1)[:, None, :] < chosen[..., None]).sum(axis=2)
    share = (np.sort(ranks, axis=1) + 0.5) / steps
    even = (np.arange(first) + 0.5) / first
    spread = np.abs(share - even).max(axis=1)
    assert spread.mean() < 2.0 / first
    if first > 5:
        drawn = np.sort(levels(images, first, seed=1), axis=1) / 30 + 0.5
        assert spread.mean() < np.abs(drawn - even).max(axis=1).mean() / 2


def test_beginnings_favour_no_level():
    """Over images the first step is at any level; another seed begins elsewhere."""
    names = [str(i) for i in range(2000)]
    logsnr = np.tile(levels(1, 100), (2000, 1))
    first, other = (spread_order(logsnr, seed, names)[:, 0] for seed in (0, 1))
    ranks = np.argsort(np.argsort(logsnr[0]))[first]
    assert np.bincount(ranks, minlength=100).min() > 0
    assert abs(ranks.mean() - 49.5) < 3 * 28.9 / np.sqrt(2000)
    assert (first != other).mean() > 0.9


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), steps=st.integers(1, 40), classes=st.integers(2, 4))
def test_order_is_undone_and_exact_stopping_still_exact(seed, steps, classes):
    generator = np.random.default_rng(seed)
    errors = generator.integers(0, 6, (4, steps, classes)).astype(np.float32)
    order = spread_order(levels(4, steps, seed), seed, NAMES)
    np.testing.assert_array_equal(by_number(in_order(errors, order), order), errors)
    rule = make_rule(StoppingConfig(kind="exact", order="spread"), steps, classes)
    used = stopping_steps(in_order(errors, order), rule)
    stopped = cut(errors, used, order)
    np.testing.assert_array_equal(np.isfinite(stopped).all(axis=2), used_steps(used, steps, order))
    np.testing.assert_array_equal(vote.tally(stopped).steps, used)
    np.testing.assert_array_equal(vote.majority(stopped), vote.majority(errors))


def test_where_votes_depend_on_the_level_fewer_decisions_differ():
    """Noisy levels vote one way and clean ones the other, so that the beginning as drawn misleads."""
    steps, images = 201, 400
    names = [str(i) for i in range(images)]
    logsnr = levels(images, steps)
    winner = (logsnr > np.random.default_rng(1).uniform(-4, 4, (images, 1))).astype(int)
    errors = 1.0 - np.eye(2)[winner]
    first = np.full(images, 21)
    differs = [
        (vote.majority(cut(errors, first, order)) != vote.majority(errors)).mean()
        for order in (None, spread_order(logsnr, 0, names))
    ]
    assert differs[1] < differs[0] / 3


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", [{"kind": "exact"}, {"kind": "sequential", "delta": 0.01}])
def test_the_least_number_of_steps_holds_where_the_majority_is_certain(kind, classes):
    """As found: of 51 steps at least 40, and unanimous images stopped at 26."""
    errors = np.ones((3, 51, classes)) - np.eye(classes)[0]
    free, late = (
        stopping_steps(errors, make_rule(StoppingConfig(**kind, min_steps=least), 51, classes))
        for least in (1, 40)
    )
    assert free.max() <= 26 and late.tolist() == [40] * 3
    rule = make_rule(StoppingConfig(**kind, min_steps=40), 51, classes)
    assert rule.wanted(errors[:, :10], np.full(3, 10)).tolist() == [40] * 3


def test_no_image_stops_before_the_least_number_of_steps():
    errors = np.random.default_rng(0).random((200, 101, 2)) - np.array([0.0, 0.6])
    for decision in ("majority", "mean"):
        settings = {"kind": "sequential", "decision": decision, "delta": 0.2}
        early, late = (
            stopping_steps(errors, make_rule(StoppingConfig(**settings, min_steps=least), 101, 2))
            for least in (1, 40)
        )
        assert early.min() < 40 and late.min() >= 40
        assert late.max() <= 101
    with pytest.raises(ValueError, match="min_steps goes with"):
        StoppingConfig(kind="none", min_steps=2)
    stopping = {"kind": "sequential", "delta": 0.1, "min_steps": 102}
    with pytest.raises(ValueError, match=r"stopping.min_steps: must be at most steps, 101"):
        ScoreConfig(steps=101, stopping=stopping)
    assert ScoreConfig(steps=102, stopping=stopping).stopping.min_steps == 102


def test_an_order_needs_a_rule_that_stops():
    with pytest.raises(ValueError, match="goes with a kind that stops"):
        StoppingConfig(order="spread")
