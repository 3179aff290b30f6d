"""Exact ties of errors: a divided vote, wherever a decision is read out."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion import vote
from meddiff.diffusion.level_weights import LevelWeights, fit_level_weights
from meddiff.diffusion.stopping import make_rule, stopping_steps
from meddiff.evaluate.method import step_table
from meddiff.evaluate.replay import EXACT, FIRST, SEQUENTIAL, SPREAD, Procedure, replay
from meddiff.readout.from_errors import from_errors
from meddiff.readout.from_logits import from_probabilities
from meddiff.readout.predictions import probabilities, uncertainties

STEPS = 12
FLAT = LevelWeights(np.array([-9.0, 9.0]), np.array([0.7, 1.3]), np.array([0.01, 0.02]))


def ignored(classes: int, images: int = 3, steps: int = STEPS) -> np.ndarray:
    """Errors [I, S, K] of a network that ignores its class."""
    errors = np.random.default_rng(0).uniform(50, 150, (images, steps, 1)).astype(np.float32)
    return np.repeat(errors, classes, axis=2)


def dataset(errors: np.ndarray) -> xr.Dataset:
    images, steps, classes = errors.shape
    return xr.Dataset(
        {
            "errors": (("image", "step", "class"), errors),
            "logsnr": (("image", "step"), np.linspace(-5, 5, images * steps).reshape(images, steps)),
            "label": ("image", np.zeros(images, dtype=np.int64)),
            "group": ("image", [f"g{i}" for i in range(images)]),
        },
        coords={"image": [f"i{i}" for i in range(images)], "class": [f"c{k}" for k in range(classes)]},
    )


def no_negative_zero(values: np.ndarray) -> bool:
    values = np.asarray(values)
    return not np.signbit(values[values == 0]).any()


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("decision", ["majority", "mean"])
def test_a_network_that_ignores_its_class_is_as_uncertain_as_can_be(classes, decision):
    table = from_errors(dataset(ignored(classes)), decision)
    assert probabilities(table) == pytest.approx(np.full((3, classes), 1 / classes))
    found = uncertainties(table)
    for kind in ("vote_entropy", "softmax_entropy"):
        assert found[kind] == pytest.approx(np.ones(3))
    assert (found["t_score"] == 0).all()  # the least certain value
    assert table["prediction"].tolist() == [0] * 3  # the documented rule: the lowest index
    assert all(no_negative_zero(values) for values in found.values())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    ("decision", "rule", "setting"),
    [
        ("majority", FIRST, 5),
        ("majority", EXACT, np.nan),
        ("majority", SEQUENTIAL, 0.1),
        ("majority", SPREAD, 0.1),
        ("mean", FIRST, 5),
        ("mean", SEQUENTIAL, 0.1),
        ("weighted_votes", FIRST, 5),
        ("weighted_errors", FIRST, 5),
    ],
)
def test_replayed_ties_are_divided_votes(classes, decision, rule, setting):
    errors = ignored(classes)
    logsnr = dataset(errors)["logsnr"].values
    spread = np.tile(np.arange(STEPS)[::-1], (3, 1))
    (outcome,) = replay(errors, [Procedure(decision, rule, setting)], logsnr, FLAT, spread)
    assert outcome.confidence == pytest.approx(np.full(3, 1 / classes))
    assert outcome.uncertainty == pytest.approx(np.ones(3))
    assert outcome.prediction.tolist() == [0] * 3
    if rule != FIRST:
        assert (outcome.steps == STEPS).all()  # nothing is ever decided


def test_a_vote_is_divided_among_those_that_share_the_lowest_error_only():
    errors = np.array(
        [[[1.0, 1.0, 2.0], [3.0, 2.0, 2.0], [1.0, 1.0, 1.0], [0.0, 5.0, 5.0], [1.0, np.nan, 1.0]]]
    )
    winner, counts = vote.votes(errors)
    assert winner.tolist() == [[vote.DIVIDED, vote.DIVIDED, vote.DIVIDED, 0, vote.NOT_EVALUATED]]
    assert counts == pytest.approx(np.array([[1 / 2 + 1 / 3 + 1, 1 / 2 + 1 / 2 + 1 / 3, 1 / 2 + 1 / 3]]))
    assert vote.tally(errors).vote_shares().sum() == pytest.approx(1)


def test_thirds_add_up_to_whole_votes():
    """Six divided votes and two undivided ones for class 2: four to two to two, exactly."""
    errors = np.ones((1, 8, 3))
    errors[0, 6:] = [2, 2, 1]
    tally = vote.tally(errors)
    assert tally.counts.tolist() == [[2.0, 2.0, 4.0]]
    errors[0, 6:] = [[2, 1, 2], [1, 2, 2]]
    assert vote.tally(errors).counts.tolist() == [[3.0, 3.0, 2.0]]
    assert vote.majority(errors).tolist() == [0]


def test_tied_votes_go_to_the_lower_mean_error_and_then_to_the_lower_index():
    one_each = np.array([[[1.0, 2.0], [5.0, 3.0]]])  # means 3 and 2.5
    assert vote.majority(one_each).tolist() == [1]
    same_means = np.array([[[2.0, 1.0], [1.0, 2.0]]])
    assert vote.majority(same_means).tolist() == vote.mean(same_means).tolist() == [0]
    assert vote.tally(same_means).vote_entropy().tolist() == [1.0]


@pytest.mark.parametrize("kind", ["exact", "sequential"])
@pytest.mark.parametrize("classes", [2, 3])
def test_stopping_rules_keep_what_they_promise_with_divided_votes(kind, classes):
    """The first two classes share every third step."""
    delta = 0.1 if kind == "sequential" else None
    winners = np.random.default_rng(3).integers(0, classes, (300, 31))
    errors = 1.0 - np.eye(classes)[winners] + 0.01 * (np.arange(classes) == 0)
    errors[:, ::3, :2] = 0.0
    stops = stopping_steps(errors, make_rule(StoppingConfig(kind=kind, delta=delta), 31, classes))
    decided = np.array([vote.majority(image[:stop]) for image, stop in zip(errors, stops, strict=True)])
    assert (decided != vote.majority(errors)).mean() <= (delta or 0)
    assert stops.min() < 31


def test_weights_of_levels_count_a_divided_vote_by_its_share():
    generator = np.random.default_rng(0)
    logsnr = generator.uniform(-5, 5, (40, 30))
    errors = ignored(2, images=40, steps=30)
    weights = fit_level_weights(errors, logsnr, generator.integers(0, 2, 40))
    # Always half a vote for the true class: chance at every level, for whichever label.
    assert weights.votes == pytest.approx(np.full_like(weights.votes, weights.votes[0]))


def test_the_picture_of_the_method_has_no_winner_in_a_tied_step():
    errors = ignored(2)
    errors[0, 3] = [1.0, 2.0]
    table = step_table(dataset(errors).isel(image=0))
    assert table["winner"].tolist() == [vote.DIVIDED] * 3 + [0] + [vote.DIVIDED] * (STEPS - 4)
    assert len(table) == STEPS


def test_certain_and_equal_baselines():
    table = from_probabilities(["a", "b"], ["a", "b"], np.zeros(2), np.array([[1.0, 0.0], [0.5, 0.5]]))
    entropy = uncertainties(table)["softmax_entropy"]
    assert entropy == pytest.approx([0, 1]) and no_negative_zero(entropy)
    assert table["prediction"].tolist() == [0, 0]


def test_unanimous_votes_have_entropy_zero_without_a_sign(tmp_path):
    errors = np.tile([1.0, 2.0], (2, STEPS, 1)).astype(np.float32)
    table = from_errors(dataset(errors), "majority")
    table.to_csv(tmp_path / "p.csv", index=False)
    assert "-0.0" not in re.split(r"[,\n]", (tmp_path / "p.csv").read_text())
    assert uncertainties(table)["vote_entropy"].tolist() == [0, 0]
