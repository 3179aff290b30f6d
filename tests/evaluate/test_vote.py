"""Decisions, probabilities and uncertainties from errors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from meddiff.diffusion import vote


@st.composite
def error_arrays(draw: st.DrawFn, missing: bool = True) -> np.ndarray:
    """Errors [I, S, K], all different, with some steps missing but never an image's first one."""
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 8)), draw(st.integers(2, 4)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    errors = 100 + generator.permutation(np.prod(shape)).reshape(shape).astype(float)
    if missing:
        gone = draw(hnp.arrays(bool, shape[:2]))
        gone[:, 0] = False
        errors[gone] = np.nan
    return errors


quick = settings(max_examples=40, deadline=None)


def test_votes_mark_missing_steps_and_count_the_rest() -> None:
    errors = np.array([[[1.0, 2.0], [4.0, 3.0], [np.nan, np.nan], [np.nan, 1.0], [5.0, 6.0]]])
    winner, counts = vote.votes(errors)
    assert winner.tolist() == [[0, 1, -1, -1, 0]]
    assert counts.tolist() == [[2, 1]]


def test_majority_and_mean_can_disagree() -> None:
    errors = np.array([[[1.0, 2.0], [1.0, 2.0], [9.0, 2.0]]])
    assert vote.majority(errors).tolist() == [0]
    assert vote.mean(errors).tolist() == [1]


def test_a_tied_vote_goes_to_the_lower_mean_error_among_tied_classes_only() -> None:
    # Classes 1 and 2 have two votes each; class 0 has one, and the lowest mean of all.
    errors = np.array([[[5, 4, 9], [5, 4, 9], [5, 9, 4.5], [5, 9, 4.5], [0, 9, 9]]], dtype=float)
    assert vote.votes(errors)[1].tolist() == [[1, 2, 2]]
    assert vote.mean(errors).tolist() == [0]
    assert vote.majority(errors).tolist() == [1]


@quick
@given(error_arrays())
def test_one_step_decides_alike_by_majority_and_mean(errors: np.ndarray) -> None:
    np.testing.assert_array_equal(vote.majority(errors[:, :1]), vote.mean(errors[:, :1]))
    np.testing.assert_array_equal(vote.t_score(errors[:, :1]), 0.0)


@quick
@given(error_arrays(), st.randoms(use_true_random=False))
def test_permuting_classes_permutes_results(errors: np.ndarray, random: object) -> None:
    order = list(range(errors.shape[-1]))
    random.shuffle(order)
    here, there = vote.tally(errors), vote.tally(errors[..., order])
    # Exactly equal means are a tie that goes to the lower index, which a permutation changes.
    assume(all(len(set(means)) == len(means) for means in here.mean.tolist()))
    np.testing.assert_array_equal(there.counts, here.counts[..., order])
    np.testing.assert_array_equal(np.asarray(order)[there.majority()], here.majority())
    np.testing.assert_array_equal(np.asarray(order)[there.lowest_mean()], here.lowest_mean())
    np.testing.assert_allclose(there.softmax(), here.softmax()[..., order])
    np.testing.assert_array_equal(there.vote_entropy(), here.vote_entropy())  # ties stay exact ties
    np.testing.assert_allclose(vote.t_score(errors[..., order]), vote.t_score(errors))


@quick
@given(error_arrays())
def test_prefix_equals_tally_of_the_first_steps(errors: np.ndarray) -> None:
    every = vote.prefix(errors)
    for n in range(1, errors.shape[1] + 1):
        first = vote.tally(errors[:, :n])
        np.testing.assert_array_equal(every.steps[:, n - 1], first.steps)
        np.testing.assert_array_equal(every.counts[:, n - 1], first.counts)
        np.testing.assert_array_equal(every.mean[:, n - 1], first.mean)
        np.testing.assert_array_equal(every.majority()[:, n - 1], vote.majority(errors[:, :n]))


@quick
@given(error_arrays())
def test_missing_steps_change_nothing(errors: np.ndarray) -> None:
    for image in errors:
        kept = image[np.isfinite(image).all(axis=1)]
        assert vote.majority(image) == vote.majority(kept)
        assert vote.mean(image) == vote.mean(kept)
        # The score is that of all steps, as far as they can be foreseen.
        np.testing.assert_allclose(vote.t_score(image), vote.t_score(kept) * np.sqrt(len(image) / len(kept)))


@quick
@given(error_arrays())
def test_ranges(errors: np.ndarray) -> None:
    tally = vote.tally(errors)
    for shares in (tally.vote_shares(), tally.softmax()):
        np.testing.assert_allclose(shares.sum(axis=-1), 1)
    for uncertainty in (tally.vote_entropy(), tally.softmax_entropy()):
        assert ((uncertainty >= 0) & (uncertainty <= 1)).all()
    assert np.isfinite(vote.t_score(errors)).all()
    assert (vote.t_score(errors) <= 0).all()


def test_shares_of_a_stopped_vote_are_those_to_expect_of_the_whole() -> None:
    """Against Pólya's urn drawn out: every vote still to come is drawn from all that are there."""
    errors = np.full((1, 41, 3), np.nan)
    errors[0, :8] = 1 - np.eye(3)[[0, 0, 1, 0, 0, 0, 1, 0]]
    generator = np.random.default_rng(0)
    urns = np.tile(vote.votes(errors)[1] + 0.5, (20_000, 1))
    for _ in range(41 - 8):
        ends = urns.cumsum(axis=1)
        drawn = (generator.random((len(urns), 1)) * ends[:, -1:] > ends).sum(axis=1)
        urns[np.arange(len(urns)), drawn] += 1
    shares = vote.tally(errors).vote_shares(41)
    np.testing.assert_allclose(shares[0], (urns - 0.5).mean(axis=0) / 41, atol=0.005)


def test_shares_of_a_whole_vote_are_votes_over_steps() -> None:
    tally = vote.tally(1 - np.eye(2)[[[0, 1, 1]]])
    assert (tally.vote_shares(3) == tally.vote_shares()).all()
    assert tally.vote_entropy(3) == tally.vote_entropy()


def test_softmax_is_the_posterior_of_a_unit_gaussian() -> None:
    errors = np.array([[[4.0, 6.0], [6.0, 8.0]]])
    np.testing.assert_allclose(vote.tally(errors).softmax(), [[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))]])


def test_entropy_values() -> None:
    assert vote.entropy(np.array([1.0, 0.0])) == 0
    assert vote.entropy(np.array([0.25] * 4)) == pytest.approx(1)
    assert vote.entropy(np.array([0.25, 0.75])) == pytest.approx(0.8112781)  # bits
    assert vote.entropy(np.array([3 / 7, 4 / 7])) == vote.entropy(np.array([4 / 7, 3 / 7]))


def test_t_score_is_the_paired_t_statistic() -> None:
    from scipy.stats import ttest_rel

    errors = np.random.default_rng(0).normal(100, 5, size=(1, 12, 3))
    first, second = np.argsort(errors[0].mean(axis=0))[:2]
    expected = -abs(ttest_rel(errors[0, :, first], errors[0, :, second]).statistic)
    np.testing.assert_allclose(vote.t_score(errors), [expected])


def test_t_score_ranks_unanimous_images_and_survives_zero_variance() -> None:
    generator = np.random.default_rng(1)
    weak = np.stack([np.zeros(9), generator.uniform(0.1, 3, 9)], axis=1)
    constant = np.stack([np.zeros(9), np.ones(9)], axis=1)
    same = np.zeros((9, 2))
    errors = np.stack([weak, constant, same])
    assert vote.tally(errors).vote_entropy()[:2].tolist() == [0, 0]
    scores = vote.t_score(errors)
    assert np.isfinite(scores).all()
    assert scores[1] < scores[0] < scores[2] == 0


def test_an_image_without_steps_is_refused() -> None:
    errors = np.full((2, 3, 2), np.nan)
    errors[0] = 1.0
    with pytest.raises(ValueError, match="every image"):
        vote.tally(errors)
    late = np.array([[[np.nan, np.nan], [1.0, 2.0]]])
    assert vote.mean(late).tolist() == [0]
    with pytest.raises(ValueError, match="first step"):
        vote.prefix(late)
    with pytest.raises(ValueError, match="shape"):
        vote.votes(np.zeros((3, 1)))


def test_evaluation_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from meddiff.artifacts.lookup import load, names; import meddiff.evaluate.summary\n"
        "assert all(map(load, names()))\n"
        "sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_commands_import_nothing_heavy() -> None:
    code = (
        "import sys, argparse, importlib\n"
        "for name in ('vote', 'metrics', 'artifact'):\n"
        "    importlib.import_module('meddiff.cli.' + name).add_arguments(argparse.ArgumentParser())\n"
        "sys.exit(bool({'numpy', 'pandas', 'pydantic', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
