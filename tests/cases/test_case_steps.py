"""How one image was decided, as the explorer shows and says it."""

from __future__ import annotations

import numpy as np
import pytest

from error_samples import make_errors
from meddiff.cases.steps import votes_of
from meddiff.cases.words import named, sentences
from meddiff.diffusion.step_order import spread_order

CLASSES = ["benign", "melanoma"]


def errors_of(winners: list[int], label: int = 0, steps: int | None = None, **attributes):
    """One image whose steps vote for `winners`, the noisiest last; after them up to `steps` not evaluated."""
    errors = np.full((1, steps or len(winners), 2), np.nan)
    errors[0, : len(winners)] = 10.0
    errors[0, np.arange(len(winners)), winners] = 9.0
    logsnr = np.linspace(5, -5, errors.shape[1])[None]
    return make_errors(errors, logsnr, ["i"], np.array([label]), ["i"], CLASSES, {"seed": 0, **attributes})


def test_votes_run_and_are_certain_as_soon_as_no_rest_can_turn_them() -> None:
    (one,) = votes_of(errors_of([1, 0, 0, 0, 0, 1, 1]))
    assert one.shown["vote"]["at"] == [1, 2, 3, 4, 5, 6, 7]
    assert one.shown["vote"]["shares"][0] == [0, 500, 667, 750, 800, 667, 571]
    assert (one.best, one.rival, one.used) == (0, 1, 7)
    # After five of seven there are four votes against one, and two to come.
    assert one.shown["certain"] == 5


def test_the_rival_of_a_wrong_decision_is_the_true_class() -> None:
    errors = np.array([[[1.0, 2.0, 3.0]] * 3 + [[2.0, 1.0, 3.0]]])
    names = ["a", "b", "c"]
    for label, rival in ((0, 1), (2, 2)):
        dataset = make_errors(errors, np.zeros((1, 4)), ["i"], np.array([label]), ["i"], names, {"seed": 0})
        (one,) = votes_of(dataset)
        assert (one.best, one.rival) == (0, rival)


def test_differences_are_those_of_best_and_rival_in_percent_of_their_mean() -> None:
    (one,) = votes_of(errors_of([0, 0, 1]))
    assert one.shown["steps"]["difference"] == pytest.approx([100 / 9.5, 100 / 9.5, -100 / 9.5], rel=1e-3)
    assert one.shown["steps"]["winner"] == [0, 0, 1]


def test_bands_divide_all_votes_by_noise() -> None:
    (one,) = votes_of(errors_of([0] * 3 + [1] * 3 + [0] * 3))
    assert one.bands.tolist() == [[3, 0], [0, 3], [3, 0]]
    said = " ".join(sentences(one, CLASSES))
    assert (
        "Noise levels disagree" in said and "at middle noise most votes are for \u2068melanoma\u2069" in said
    )


def test_an_image_that_stopped_is_shown_in_the_order_of_its_steps() -> None:
    names, logsnr = ["i"], np.linspace(5, -5, 9)[None]
    order = spread_order(logsnr, 4, names)
    errors = np.full((1, 9, 2), np.nan)
    errors[0, order[0, :3]] = [[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]
    attributes = {"seed": 4, "stopping": '{"kind": "exact", "order": "spread"}'}
    dataset = make_errors(errors, logsnr, names, np.array([0]), names, CLASSES, attributes)
    (one,) = votes_of(dataset)
    assert one.shown["steps"]["number"] == order[0, :3].tolist()
    assert one.shown["vote"]["shares"][1] == [0, 500, 333]
    assert (one.used, one.shown["total"], one.shown["certain"]) == (3, 9, None)
    assert "It stopped after 3 of 9 steps" in " ".join(sentences(one, CLASSES))


def test_many_steps_are_thinned_out_between_the_first_and_the_last() -> None:
    (one,) = votes_of(errors_of([0, 1] * 300 + [0]))
    at = one.shown["vote"]["at"]
    assert (at[0], at[-1], len(at)) == (1, 601, 101)
    assert len(one.shown["steps"]["logsnr"]) == 151


def test_a_single_step_and_a_tie_are_said_plainly() -> None:
    assert sentences(votes_of(errors_of([1], label=1))[0], CLASSES) == [
        "1 of 1 noised versions speak for \u2068melanoma\u2069, 0 for \u2068benign\u2069."
    ]
    (tie,) = votes_of(errors_of([0, 1]))
    assert sentences(tie, CLASSES)[0].endswith("Equal votes: the lower mean error decides.")
    assert "The outcome was open until the last step." in sentences(tie, CLASSES)


def test_names_cannot_leave_their_line_or_direction() -> None:
    assert named("a\u202e\nb") == "\u2068a b\u2069"
