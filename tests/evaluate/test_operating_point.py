"""The operating point: chosen as the ROC curve says, and the metrics there are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from evaluate_samples import sample_predictions
from meddiff.config.schema.operating_point import YOUDEN, AtLeast
from meddiff.errors import DataError
from meddiff.evaluate.intervals import metric_intervals
from meddiff.evaluate.metrics.catalogue import AT_POINT, WeightedMetrics
from meddiff.evaluate.metrics.operating_point import decided_at, threshold
from meddiff.readout.predictions import probabilities

images = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=40)


def roc(scores: np.ndarray, positive: np.ndarray) -> dict[float, tuple[float, float]]:
    """Threshold -> sensitivity and specificity, of every score and of infinity."""
    found = sk.roc_curve(positive, scores, drop_intermediate=False)
    return {t: (tpr, 1 - fpr) for fpr, tpr, t in zip(*found, strict=True)}


@settings(max_examples=50, deadline=None)
@given(images, st.sampled_from([0.5, 0.8, 0.9, 1.0]))
def test_it_is_the_best_point_of_the_roc_curve(seen: list[tuple[int, bool]], least: float) -> None:
    scores, positive = np.array([*seen, (3, True), (4, False)]).T
    curve = roc(scores, positive)
    sums = {t: sum(shares) for t, shares in curve.items()}
    best = [t for t, value in sums.items() if value == pytest.approx(max(sums.values()), abs=1e-12)]
    assert threshold(scores, positive, YOUDEN) == min(best)
    enough = [t for t, (sensitivity, _) in curve.items() if sensitivity >= least - 1e-12]
    assert threshold(scores, positive, AtLeast(sensitivity=least)) == max(enough)
    enough = [t for t, (_, specificity) in curve.items() if specificity >= least - 1e-12]
    assert threshold(scores, positive, AtLeast(specificity=least)) == min(enough)


def test_a_share_of_images_is_a_whole_number_of_them() -> None:
    scores = np.arange(20.0)
    positive = np.arange(20) % 2 == 1
    assert threshold(scores, positive, AtLeast(sensitivity=0.7)) == 7  # 7 of 10, not 8


def test_both_classes_are_needed_and_one_rule() -> None:
    with pytest.raises(DataError, match="both classes"):
        threshold([0.1, 0.2], [True, True], YOUDEN)
    for wrong in ({}, {"sensitivity": 0.9, "specificity": 0.9}):
        with pytest.raises(ValueError, match="either a sensitivity or a specificity"):
            AtLeast(**wrong)


def test_metrics_there_are_those_of_scikit_learn_with_intervals_of_shares() -> None:
    table = sample_predictions("softmax", images=80)
    p = probabilities(table)[:, 1]
    decided = decided_at(table, p, 0.7)
    at_point = WeightedMetrics(decided, False, AT_POINT)
    values, y, said = at_point.values(), table["label"], p >= 0.7
    assert values == pytest.approx(
        {
            "sensitivity": sk.recall_score(y, said),
            "specificity": sk.recall_score(1 - y, ~said),
            "ppv": sk.precision_score(y, said),
            "npv": sk.precision_score(1 - y, ~said),
        }
    )
    found = metric_intervals(at_point.images, values, {}, 0.95)
    missed = binomtest(int((said & (y == 1)).sum()), int((y == 1).sum())).proportion_ci(0.95)
    assert found["sensitivity"] == pytest.approx((missed.low, missed.high))
    assert all(low < values[name] < high for name, (low, high) in found.items())


def test_where_nothing_is_called_positive_the_ppv_is_undefined() -> None:
    table = sample_predictions("softmax", images=20)
    at_point = WeightedMetrics(decided_at(table, probabilities(table)[:, 1], np.inf), False, AT_POINT)
    values = at_point.values()
    assert np.isnan(values["ppv"]) and values["sensitivity"] == 0 and values["specificity"] == 1
    assert np.isnan(metric_intervals(at_point.images, values, {}, 0.95)["ppv"]).all()
