"""Stopping rules: exact means exact, delta means delta, and how the work is divided does not matter."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, t

from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion import vote
from meddiff.diffusion.stopping import MajorityRule, MeanRule, cut, make_rule, stopping_steps
from meddiff.diffusion.vote_table import catching_up, disagreement, most_rival_votes
from meddiff.scoring.work_queue import WorkQueue

quick = settings(max_examples=60, deadline=None)


@st.composite
def tensors(draw: st.DrawFn) -> np.ndarray:
    """Errors [I, N, K] of few distinct values: votes and mean errors tie often."""
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 30)), draw(st.integers(2, 5)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    errors = generator.integers(0, draw(st.integers(2, 6)), shape).astype(np.float32)
    errors -= draw(st.sampled_from([0.0, 0.5, 2.0])) * (np.arange(shape[2]) == 0)
    return errors


rules = st.sampled_from(
    [
        StoppingConfig(kind="exact"),
        StoppingConfig(kind="sequential", delta=0.3),
        StoppingConfig(kind="sequential", delta=0.01),
        StoppingConfig(kind="sequential", decision="mean", delta=0.3),
        StoppingConfig(kind="exact", min_steps=7),
        StoppingConfig(kind="sequential", delta=0.3, min_steps=20),
    ]
)


def votes_to_errors(winners: np.ndarray, classes: int) -> np.ndarray:
    """Errors [..., N, K] in which the class `winners` [..., N] has the lowest."""
    return 1.0 - np.eye(classes)[winners]


@quick
@given(tensors())
def test_exact_decides_as_all_steps_do(errors: np.ndarray) -> None:
    stops = stopping_steps(errors, MajorityRule(errors.shape[1]))
    assert ((stops >= 1) & (stops <= errors.shape[1])).all()
    np.testing.assert_array_equal(vote.majority(cut(errors, stops)), vote.majority(errors))


@quick
@given(tensors())
def test_exact_stops_at_the_first_certain_step(errors: np.ndarray) -> None:
    """Whatever the steps that are left do, from there on; and before, they could still change it."""
    steps, classes = errors.shape[1:]
    stops = stopping_steps(errors, MajorityRule(steps))
    for image, stop in zip(errors, stops, strict=True):
        decided = vote.majority(image[:stop])
        for rival in range(classes):
            others = votes_to_errors(np.full(steps - stop, rival), classes)
            assert vote.majority(np.concatenate([image[:stop], others])) == decided
        counts = vote.votes(image[: stop - 1])[1] if stop > 1 else np.zeros(classes, int)
        first, second = np.sort(counts)[::-1][:2]
        assert second + (steps - stop + 1) >= first  # a tie is decided by errors that are not known yet


@pytest.mark.parametrize(("steps", "classes", "expected"), [(501, 2, 251), (9, 2, 5), (8, 2, 5), (9, 4, 5)])
def test_a_unanimous_vote_is_certain_after_half_of_the_steps(steps, classes, expected) -> None:
    errors = votes_to_errors(np.ones((1, steps), int), classes)
    assert stopping_steps(errors, MajorityRule(steps)).tolist() == [expected]


@pytest.mark.parametrize("steps", [7, 12])
def test_predictive_probability_is_the_beta_binomial_tail(steps: int) -> None:
    risk = catching_up(steps)
    for n in range(steps + 1):
        for rival in range(n + 1):
            future = np.arange(steps - n + 1)  # votes for the rival among those still to come
            p = betabinom.pmf(future, steps - n, rival + 1, n - rival + 1)
            assert risk[n, rival] == pytest.approx(p[2 * (rival + future) >= steps].sum())


@pytest.mark.parametrize(("steps", "delta"), [(9, 0.2), (12, 0.3), (13, 0.1)])
def test_two_classes_differ_from_the_full_run_with_at_most_delta_for_any_votes(steps, delta) -> None:
    """All orders of all votes, one by one; the table's own bound is the worst of them."""
    winners = np.array(list(product([0, 1], repeat=steps)))
    # A tie goes to class 0: by its errors, which are lower in every step.
    errors = votes_to_errors(winners, 2) - 0.01 * (np.arange(2) == 0)
    rule = make_rule(StoppingConfig(kind="sequential", delta=delta), steps, 2)
    stops = stopping_steps(errors, rule)
    differs = vote.majority(cut(errors, stops)) != vote.majority(errors)
    rates = [differs[winners.sum(axis=1) == ones].mean() for ones in range(steps + 1)]
    assert stops.mean() < stopping_steps(errors, MajorityRule(steps)).mean()
    assert max(rates) <= delta
    assert max(rates) == pytest.approx(disagreement(most_rival_votes(steps, 2, delta), 2))


@pytest.mark.parametrize("shares", [(0.36, 0.34, 0.3), (0.5, 0.5, 0.0), (0.55, 0.25, 0.2)])
def test_three_classes_differ_from_the_full_run_with_at_most_delta(shares) -> None:
    delta, steps = 0.1, 75
    generator = np.random.default_rng(0)
    winners = generator.choice(3, size=(4000, steps), p=shares)
    errors = votes_to_errors(winners, 3) + 0.01 * generator.random((4000, steps, 3))
    stops = stopping_steps(errors, make_rule(StoppingConfig(kind="sequential", delta=delta), steps, 3))
    differs = vote.majority(cut(errors, stops)) != vote.majority(errors)
    assert differs.mean() <= delta
    assert stops.mean() < stopping_steps(errors, MajorityRule(steps)).mean()


@pytest.mark.parametrize("delta", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("decision", ["majority", "mean"])
def test_rate_of_differing_decisions_is_below_delta(decision: str, delta: float) -> None:
    """Normal differences of images from clear to undecidable, at the paper's number of steps."""
    generator = np.random.default_rng(1)
    margin = generator.normal(0.0, 0.6, size=(1500, 1))
    difference = (margin + generator.standard_normal((1500, 501))).astype(np.float32)
    errors = np.stack([np.zeros_like(difference), difference], axis=-1)
    rule = make_rule(StoppingConfig(kind="sequential", decision=decision, delta=delta), 501, 2)
    stops = stopping_steps(errors, rule)
    decide = vote.majority if decision == "majority" else vote.mean
    assert (decide(cut(errors, stops)) != decide(errors)).mean() <= delta
    assert stops.mean() < 180


def test_delta_is_no_bound_for_mean_errors_that_are_skewed() -> None:
    """Why captions do not promise it: rare large differences decide the mean, and are yet to come."""
    generator = np.random.default_rng(0)
    difference = 1.0 - (generator.random((400, 501)) < 0.004) * 300.0
    errors = np.stack([np.zeros_like(difference), difference + 1e-3 * generator.random((400, 501))], axis=-1)
    for decision, decide, bounded in (("mean", vote.mean, False), ("majority", vote.majority, True)):
        rule = make_rule(StoppingConfig(kind="sequential", decision=decision, delta=0.05), 501, 2)
        differs = decide(cut(errors, stopping_steps(errors, rule))) != decide(errors)
        assert (differs.mean() <= 0.05) == bounded


def test_smaller_delta_stops_later() -> None:
    tables = [most_rival_votes(101, 2, delta) for delta in (0.2, 0.05, 0.01, 1e-3)]
    for loose, strict in pairwise(tables):
        assert (loose >= strict).all() and (loose > strict).any()
    for table in tables:
        assert (np.diff(table) >= 0).all()
        assert (2 * table[1:] < np.arange(1, 102)).all()  # a leader leads


def test_mean_rule_is_a_prediction_interval() -> None:
    """Where the mean of all steps is known to the t quantile, it stops; a hair below, it goes on."""
    rule = MeanRule(100, 2, 0.05)
    level = 0.05 / len(rule.looks)
    noise = np.random.default_rng(0).standard_normal(16)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    bound = t.isf(level, 15) * np.sqrt(1 / 16 - 1 / 100)
    for factor, stopped in ((1.001, True), (0.999, False)):
        difference = np.full(100, np.nan)
        difference[:16] = noise + factor * bound
        errors = np.stack([np.zeros(100), difference], axis=-1)[None]
        assert (rule.wanted(errors, np.array([16])) == 16).item() is stopped


@quick
@given(st.integers(2, 4), st.integers(0, 1000))
def test_mean_rule_stops_where_the_leader_is_clear_of_every_rival(classes: int, seed: int) -> None:
    """Means and deviations of each look by themselves, at the level of real errors."""
    generator = np.random.default_rng(seed)
    noise = 3e4 + generator.normal(0, 1e3, size=(6, 60, 1)) + generator.normal(0, 1, size=(6, 60, classes))
    errors = noise + generator.normal(0, 0.6, size=(6, 1, classes))
    rule = MeanRule(60, classes, 0.2)
    level = 0.2 / len(rule.looks) / (classes - 1)
    for image, stop in zip(errors, stopping_steps(errors, rule), strict=True):
        expected = 60
        for look in reversed(rule.looks.tolist()):
            bound = t.isf(level, look - 1) * np.sqrt(1 / look - 1 / 60)
            best, *rivals = sorted(image[:look].T, key=np.mean)
            ahead = np.array([rival - best for rival in rivals])
            if (ahead.mean(axis=1) > bound * ahead.std(axis=1, ddof=1)).all():
                expected = look
        assert stop == expected


def test_mean_rule_needs_no_spread_and_leaves_short_runs_alone() -> None:
    apart = np.tile([1.0, 2.0], (1, 50, 1))
    assert stopping_steps(apart, MeanRule(50, 2, 0.01)).tolist() == [16]
    assert stopping_steps(np.ones((1, 50, 2)), MeanRule(50, 2, 0.01)).tolist() == [50]
    assert stopping_steps(apart[:, :9], MeanRule(9, 2, 0.01)).tolist() == [9]


def work(errors: np.ndarray, config: StoppingConfig, size: int, fill: int | None, start=None):
    """What a queue has evaluated at its end, and the sizes of its batches."""
    known = np.full_like(errors, np.nan) if start is None else start.copy()
    rule = make_rule(config, *errors.shape[1:])
    sizes = []
    for batch in WorkQueue(known, rule).batches(size, fill):
        assert np.isnan(known[batch[:, 0], batch[:, 1]]).any(axis=1).all()  # nothing twice
        assert len(np.unique(batch, axis=0)) == len(batch)
        known[batch[:, 0], batch[:, 1]] = errors[batch[:, 0], batch[:, 1]]
        sizes.append(len(batch))
    return known, sizes


@quick
@given(tensors(), rules, st.integers(1, 40), st.sampled_from([None, 1, 8]))
def test_stops_are_where_the_full_errors_say_whatever_the_batches(errors, config, size, fill) -> None:
    rule = make_rule(config, *errors.shape[1:])
    stops = stopping_steps(errors, rule)
    known, sizes = work(errors, config, size, fill)
    np.testing.assert_array_equal(stopping_steps(known, rule), stops)
    np.testing.assert_array_equal(cut(known, stops), cut(errors, stops))
    assert max(sizes) <= size


@quick
@given(tensors(), rules, st.integers(1, 40), st.data())
def test_resuming_from_any_state_gives_the_same(errors, config, size, data) -> None:
    gone = np.random.default_rng(data.draw(st.integers(0, 1000))).random(errors.shape[:2]) < 0.5
    start = np.where(gone[..., None], np.nan, errors)
    rule = make_rule(config, *errors.shape[1:])
    known, _ = work(errors, config, size, None, start)
    np.testing.assert_array_equal(stopping_steps(known, rule), stopping_steps(errors, rule))


@quick
@given(tensors(), rules)
def test_one_pair_at_a_time_wastes_nothing(errors, config) -> None:
    rule = make_rule(config, *errors.shape[1:])
    stops = stopping_steps(errors, rule)
    for size, fill in ((1, None), (16, 1)):
        known, _ = work(errors, config, size, fill)
        np.testing.assert_array_equal(known, cut(errors, stops))


@quick
@given(tensors(), rules)
def test_no_rule_asks_for_fewer_steps_than_it_needs(errors, config) -> None:
    """`wanted` is a lower bound of the stopping step, and grows to it."""
    rule = make_rule(config, *errors.shape[1:])
    stops = stopping_steps(errors, rule)
    for known in range(errors.shape[1] + 1):
        wanted = rule.wanted(errors, np.full(len(errors), known))
        assert ((wanted > known) == (stops > known)).all()
        assert (wanted <= stops).all() and (wanted[stops <= known] == stops[stops <= known]).all()


def test_batches_stay_full_to_the_end() -> None:
    generator = np.random.default_rng(0)
    errors = votes_to_errors((generator.random((40, 101)) < 0.8).astype(int), 2)
    _, sizes = work(errors, StoppingConfig(kind="sequential", delta=0.01), 16, None)
    assert set(sizes[:-1]) == {16}


def test_without_a_rule_pairs_come_row_by_row() -> None:
    errors = np.full((5, 7, 2), np.nan)
    errors[2, 3:5] = 1.0
    expected = np.argwhere(np.isnan(errors).any(axis=2))
    batches = list(WorkQueue(errors.copy()).batches(4))
    assert [len(batch) for batch in batches] == [4] * 8 + [1]
    np.testing.assert_array_equal(np.concatenate(batches), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("config", [None, StoppingConfig(kind="exact")])
def test_errors_that_are_not_finite_end_the_work(config, value) -> None:
    errors = np.full((3, 9, 2), np.nan)
    rule = make_rule(config, 9, 2) if config else None
    for done, batch in enumerate(WorkQueue(errors, rule).batches(2)):
        assert done < 40
        errors[batch[:, 0], batch[:, 1]] = value


@lru_cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    return most_rival_votes(501, 2, 0.01), most_rival_votes(501, 7, 0.01)


def test_more_classes_need_a_clearer_lead() -> None:
    two, seven = _tables()
    assert (two >= seven).all() and (two > seven).any()


def test_tables_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(ValueError, match="read-only"):
        _tables()[0][3] = 100


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"kind": "sequential"}, "delta is needed"),
        ({"kind": "exact", "delta": 0.1}, "goes with no other kind"),
        ({"kind": "exact", "decision": "mean"}, "errors have no bound"),
        ({"kind": "sequential", "delta": 0.5}, "less than 0.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(document, message) -> None:
    with pytest.raises(ValueError, match=message):
        StoppingConfig(**document)
