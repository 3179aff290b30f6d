"""Metrics against hand-computed values, scikit-learn and torchmetrics; resampled forms against both."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from evaluate_samples import sample_predictions
from meddiff.evaluate.metrics.catalogue import METRICS, WeightedMetrics, find, point_metrics
from meddiff.evaluate.metrics.images import CalibrationError, bin_index, label_losses, ranking_scores
from meddiff.evaluate.metrics.ranking import Ranking
from meddiff.readout.from_logits import from_probabilities


def table_of(labels: list[int], p: list[list[float]]) -> pd.DataFrame:
    ids = [str(i) for i in range(len(labels))]
    return from_probabilities(ids, ids, np.asarray(labels), np.asarray(p))


def once(images: int) -> np.ndarray:
    """Weights that give the value of the images themselves."""
    return np.ones((1, images), dtype=np.int64)


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    return float(CalibrationError(confidence, correct)(once(len(correct)))[0])


def test_binary_by_hand() -> None:
    table = table_of([1, 1, 1, 0, 0], [[0.1, 0.9], [0.4, 0.6], [0.7, 0.3], [0.8, 0.2], [0.45, 0.55]])
    values = point_metrics(table, vote_shares=False)
    assert values["accuracy"] == pytest.approx(3 / 5)
    assert values["precision"] == values["recall"] == values["f1"] == pytest.approx(2 / 3)
    assert values["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert values["auroc"] == pytest.approx(5 / 6)
    assert values["brier"] == pytest.approx((0.01 + 0.16 + 0.49 + 0.04 + 0.3025) / 5)
    assert values["nll"] == pytest.approx(-np.log([0.9, 0.6, 0.3, 0.8, 0.45]).mean())


def test_multiclass_is_macro() -> None:
    table = sample_predictions("softmax", classes=3, images=90)
    y, predicted = table["label"], table["prediction"]
    p = table[["p_0", "p_1", "p_2"]].to_numpy()
    values = point_metrics(table, vote_shares=False)
    assert values["f1"] == pytest.approx(sk.f1_score(y, predicted, average="macro"))
    assert values["precision"] == pytest.approx(sk.precision_score(y, predicted, average="macro"))
    assert values["recall"] == pytest.approx(values["balanced_accuracy"])
    assert values["auroc"] == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"))
    assert values["average_precision"] == pytest.approx(
        np.mean([sk.average_precision_score(y == k, p[:, k]) for k in range(3)])
    )
    assert values["mcc"] == pytest.approx(sk.matthews_corrcoef(y, predicted))
    assert values["brier"] == pytest.approx(((p - np.eye(3)[y]) ** 2).sum(axis=1).mean())
    assert values["nll"] == pytest.approx(sk.log_loss(y, p))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=30))
def test_binary_metrics_equal_those_of_scikit_learn(images: list[tuple[int, int]]) -> None:
    images += [(0, 2), (1, 3)]  # both classes, and some ties
    y, votes = np.array(images).T
    p = np.stack([1 - votes / 5, votes / 5], axis=1)
    predicted = p.argmax(axis=1)
    values = point_metrics(table_of(y.tolist(), p.tolist()), vote_shares=False)
    expected = {
        "accuracy": sk.accuracy_score(y, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(y, predicted),
        "precision": sk.precision_score(y, predicted, zero_division=0),
        "recall": sk.recall_score(y, predicted),
        "f1": sk.f1_score(y, predicted),
        "auroc": sk.roc_auc_score(y, votes),
        "average_precision": sk.average_precision_score(y, votes),
        "mcc": sk.matthews_corrcoef(y, predicted),
        "brier": sk.brier_score_loss(y, p[:, 1]),
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_order_of_metrics() -> None:
    names = ["accuracy", "balanced_accuracy", "precision", "recall", "f1", "mcc", "auroc"]
    names += ["average_precision", "brier", "nll", "calibration_slope", "calibration_intercept", "smooth_ece"]
    names += ["ece"]
    kinds = ["vote_entropy", "t_score", "softmax_entropy"]
    values = point_metrics(sample_predictions("majority"), vote_shares=True)
    assert list(values) == names + [area + kind for kind in kinds for area in ("aurc_", "augrc_")]
    assert list(METRICS) == list(values)


def test_a_kind_of_uncertainty_that_is_not_listed_has_its_metrics() -> None:
    table = sample_predictions("softmax").rename(
        columns={"uncertainty_softmax_entropy": "uncertainty_energy"}
    )
    assert list(point_metrics(table, vote_shares=False))[-2:] == ["aurc_energy", "augrc_energy"]
    assert find("aurc_energy").title == "AURC energy" and find("validity") is None


def test_vote_shares_are_smoothed_and_other_probabilities_clipped() -> None:
    table = table_of([1, 0], [[1.0, 0.0], [1.0, 0.0]])
    table["steps"] = 9
    shares = label_losses(table, vote_shares=True)
    np.testing.assert_allclose(shares, -np.log([0.5 / 10, 9.5 / 10]))
    clipped = label_losses(table, vote_shares=False)
    np.testing.assert_allclose(clipped, [-np.log(np.finfo(float).eps), 0])


def test_auroc_ranks_probabilities_that_round_to_one() -> None:
    gaps = np.array([-120.0, -80.0, 80.0, 120.0, 90.0, -90.0])  # log-odds of class 1
    p = np.stack([1 / (1 + np.exp(gaps)), 1 / (1 + np.exp(-gaps))], axis=1)
    labels = [0, 0, 0, 1, 1, 1]
    assert sk.roc_auc_score(labels, p[:, 1]) != pytest.approx(sk.roc_auc_score(labels, gaps))
    values = point_metrics(table_of(labels, p.tolist()), vote_shares=False)
    assert values["auroc"] == pytest.approx(sk.roc_auc_score(labels, gaps))


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 7), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_auroc_of_votes_ranks_by_whole_counts(classes: int, steps: int, seed: int) -> None:
    """As found: [2, 0, 3] and [2, 1, 2] of 5 votes were ranked apart by the rounding of the others' sum."""
    generator = np.random.default_rng(seed)
    votes = generator.multinomial(steps, generator.dirichlet(np.ones(classes)), size=60)
    labels = np.append(np.arange(classes), generator.integers(classes, size=60 - classes))
    table = table_of(labels.tolist(), (votes / steps).tolist())
    expected = np.mean([sk.roc_auc_score(labels == k, votes[:, k]) for k in range(classes)])
    assert point_metrics(table, vote_shares=True)["auroc"] == pytest.approx(expected, rel=1e-12)
    resampled = WeightedMetrics(table, vote_shares=True)(np.ones((1, 60), dtype=int))
    assert resampled["auroc"][0] == pytest.approx(expected, rel=1e-12)


def test_equal_votes_are_equal_scores() -> None:
    scores = ranking_scores(np.array([[2, 0, 3], [2, 1, 2]]) / 5, vote_shares=True)
    assert scores[0, 0] == scores[1, 0]
    # Probabilities that do not round to 1 are ranked as they are, whatever the rounding of the others' sum.
    p = np.array([[0.4, 0.3, 0.2, 0.1], [0.4, 0.1, 0.2, 0.3], [1 - 1e-12, 0, 1e-12, 0]])
    scores = ranking_scores(p, vote_shares=False)
    assert scores[0, 0] == scores[1, 0] < scores[2, 0]


def test_undefined_metrics_are_nan() -> None:
    table = table_of([1, 1], [[0.1, 0.9], [0.6, 0.4]])
    values = point_metrics(table, vote_shares=False)
    undefined = {name for name, value in values.items() if np.isnan(value)}
    assert undefined == {
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
        "mcc",
        "auroc",
        "average_precision",
        "calibration_slope",
        "calibration_intercept",
    }
    resampled = WeightedMetrics(table, vote_shares=False)(np.ones((1, 2)))
    assert undefined == {name for name, value in resampled.items() if np.isnan(value[0])}


def test_a_class_that_is_never_predicted_has_no_precision() -> None:
    values = point_metrics(table_of([0, 1], [[0.9, 0.1], [0.8, 0.2]]), vote_shares=False)
    assert values["precision"] == values["f1"] == 0


def test_ece_by_hand() -> None:
    # Bins (0.6, 0.667], (0.867, 0.933] and, right-closed, 0.6 alone in (0.533, 0.6].
    confidence = np.array([0.65, 0.62, 0.9, 0.9, 0.6])
    correct = np.array([True, False, True, True, False])
    gaps = abs(0.35 - 0.62), abs(0.1 + 0.1), 0.6
    assert calibration_error(confidence, correct) == pytest.approx(sum(gaps) / 5)


def test_bins_hold_their_upper_edge() -> None:
    edges = [np.float64(votes) / 30 for votes in range(2, 31, 2)]  # k / 15 as shares of 30 votes
    assert bin_index(np.array([0.0, *edges])).tolist() == [0, *range(15)]


@pytest.mark.parametrize("classes", [2, 3])
def test_ece_equals_torchmetrics(classes: int) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    generator = np.random.default_rng(classes)
    p = generator.dirichlet(np.ones(classes), size=500)
    y = generator.integers(classes, size=500)
    expected = functional.multiclass_calibration_error(
        torch.tensor(p), torch.tensor(y), num_classes=classes, n_bins=15, norm="l1"
    )
    ours = calibration_error(p.max(axis=1), p.argmax(axis=1) == y)
    assert ours == pytest.approx(float(expected), abs=1e-6)


def test_aurc_by_hand() -> None:
    correct = np.array([True, False, True, False])
    # Order 0, 2, 1, 3: risks 0, 0, 1/3, 1/2.
    ranking = Ranking([0.1, 0.3, 0.2, 0.4], ~correct)
    assert ranking.mean_risk(once(4))[0] == pytest.approx((1 / 3 + 1 / 2) / 4)
    # Errors kept: 0, 0, 1, 2 of 4; trapezoids from (0, 0).
    assert ranking.mean_generalized_risk(once(4))[0] == pytest.approx((0 + 0 + 0.5 + 1.5) / 16)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
def test_augrc_is_what_the_auroc_of_failures_and_the_accuracy_say(images: list[tuple[int, bool]]) -> None:
    """Eq. 6 of Traub et al. (2024)."""
    uncertainty, wrong = np.array([*images, (1, True), (2, False)]).T
    right = 1 - wrong.mean()
    expected = (1 - sk.roc_auc_score(wrong, uncertainty)) * right * (1 - right) + (1 - right) ** 2 / 2
    found = Ranking(uncertainty, wrong).mean_generalized_risk(once(len(wrong)))[0]
    assert found == pytest.approx(expected, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6))
def test_ties_give_the_mean_over_all_orders(images: list[tuple[int, bool]]) -> None:
    uncertainty = np.array([u for u, _ in images], dtype=float)
    correct = np.array([c for _, c in images])
    curves = []
    for order in itertools.permutations(range(len(images))):
        ranked = sorted(order, key=lambda i: uncertainty[i])
        curves.append(np.cumsum(correct[ranked]) / np.arange(1, len(images) + 1))
    n = len(images)
    curve, ranking = np.mean(curves, axis=0), Ranking(uncertainty, correct)
    left = 100 * (n - np.arange(1, n + 1)) / n
    np.testing.assert_allclose(ranking.share_of_rest(once(n), left)[0], curve)
    area = Ranking(uncertainty, ~correct).mean_risk(once(n))[0]
    assert area == pytest.approx(1 - curve.mean(), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("decision", ["majority", "mean", "softmax"])
def test_resampled_metrics_equal_point_metrics_of_repeated_rows(decision: str, classes: int) -> None:
    table = sample_predictions(decision, classes=classes, images=45, steps=7)
    shares = decision == "majority"
    generator = np.random.default_rng(3)
    weights = generator.multinomial(45, np.full(45, 1 / 45), size=8)
    weights[0] = 1
    weights[1] = np.where(table["label"] == 0, 2, 0)  # classes are missing
    values = WeightedMetrics(table, shares)(weights)
    for row, counts in enumerate(weights):
        repeated = table.loc[np.repeat(table.index, counts)].reset_index(drop=True)
        expected = point_metrics(repeated, shares)
        found = {name: value[row] for name, value in values.items()}
        assert found == pytest.approx(expected, nan_ok=True, rel=1e-9, abs=1e-12)
        assert set(found) == set(expected)
