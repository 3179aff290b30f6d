"""Calibration errors, slopes and intercepts: against their definitions, and of calibrated probabilities."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from evaluate_samples import sample_predictions
from meddiff.evaluate.metrics import reliability
from meddiff.evaluate.metrics.catalogue import OF_CALIBRATED, WeightedMetrics, point_metrics
from meddiff.evaluate.metrics.images import Images
from meddiff.evaluate.statistics import Resampling
from meddiff.evaluate.summary import MetricsSettings, summarise
from meddiff.readout.calibrating import calibrate, with_calibrated
from meddiff.readout.predictions import calibrated


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits that are too extreme, outcomes, and weights."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0.4, 2, size=120)
    happened = generator.random(120) < expit(0.6 * logits - 0.5)
    return logits, happened, np.vstack([np.ones(120, dtype=int), generator.poisson(1, size=(3, 120))])


def test_slope_is_that_of_logistic_regression(drawn) -> None:
    logits, happened, weights = drawn
    for found, row in zip(reliability.slope(logits, happened, weights), weights, strict=True):
        reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
        reference.fit(logits[:, None], happened, sample_weight=row)
        assert found == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    # Also of saturated probabilities.
    extreme = reliability.slope(18 * logits, happened, weights) * 18
    np.testing.assert_allclose(extreme, reliability.slope(logits, happened, weights))


def test_intercept_makes_events_as_frequent_as_probabilities(drawn) -> None:
    logits, happened, weights = drawn
    for scale in (1, 18):
        for found, row in zip(reliability.intercept(scale * logits, happened, weights), weights, strict=True):
            assert row @ expit(scale * logits + found) == pytest.approx(row @ happened)


def test_there_is_no_slope_where_logits_separate_outcomes() -> None:
    happened, once = np.array([False, False, True, True]), np.ones((1, 4), dtype=int)
    for logits in ([0.0, 1, 2, 3], [0.0, 1, 1, 3], [3.0, 2, 1, 0], [1.0, 1, 1, 1]):
        assert np.isnan(reliability.slope(np.array(logits), happened, once)[0])
    found = reliability.slope(np.array([0.0, 2, 1, 3]), happened, np.array([[1, 1, 1, 1], [1, 0, 1, 1]]))
    assert np.isfinite(found[0]) and np.isnan(found[1])
    assert np.isnan(reliability.intercept(np.zeros(4), happened, np.array([[1, 1, 0, 0]]))[0])


def test_smooth_error_is_its_own_width() -> None:
    generator = np.random.default_rng(1)
    p = generator.random(200)
    happened = generator.random(200) < p**2

    def smoothed(width: float) -> float:
        at = np.linspace(0, 1, 4001)[:, None]
        kernel = sum(
            np.exp(-((at - (sign * p + shift)) ** 2) / (2 * width**2))
            for sign in (1, -1)
            for shift in (-2, 0, 2)
        )
        kernel /= width * np.sqrt(2 * np.pi)
        return float(np.trapezoid(np.abs(kernel @ (happened - p)) / 200, dx=1 / 4000))

    expected = brentq(lambda width: smoothed(width) - width, 0.01, 1)
    found = reliability.SmoothError(p, happened)(np.ones((1, 200)))[0]
    assert found == pytest.approx(expected, abs=2e-4) and found > 0.1


@pytest.mark.parametrize("classes", [2, 3])
def test_calibrated_metrics_are_those_of_calibrated_probabilities(classes: int) -> None:
    table = sample_predictions("majority", classes=classes, images=90)
    table = with_calibrated(table, calibrate(table, "v.csv", offsets=True), "c.json")
    names = [column for column in table if column.startswith("p_")]
    p = calibrated(table)
    as_raw = table.assign(**dict(zip(names, p.T, strict=True)), prediction=p.argmax(axis=1))
    expected = point_metrics(as_raw.drop(columns=[c for c in table if c.startswith("calibrated_")]), False)
    metrics = WeightedMetrics(table, vote_shares=True)
    found = metrics.values()
    assert [name for name in found if name.endswith("_calibrated")] == [
        f"{n}_calibrated" for n in OF_CALIBRATED
    ]
    for name in OF_CALIBRATED:
        assert found[f"{name}_calibrated"] == pytest.approx(expected[name], rel=1e-9)
    # What was fitted on these images has a slope near 1, but for Platt's smoothing.
    if classes == 2:
        assert found["calibration_slope_calibrated"] == pytest.approx(1, abs=0.1)
    how = {"dataset": "d", "model": "m", "seed": 0, "votes": 0, "decision": "majority"}
    how |= Resampling(bootstrap_samples=100, confidence=0.9, bootstrap_seed=0).model_dump()
    rows = summarise(table, MetricsSettings(**how)).set_index("metric")
    assert ((rows["ci_low"] <= rows["value"]) & (rows["value"] <= rows["ci_high"])).all()
    assert rows.loc["accuracy_calibrated", "value"] == pytest.approx(expected["accuracy"])


def test_events_of_more_classes_are_right_decisions() -> None:
    events = Images(
        pd.DataFrame(
            {
                "image_id": ["a"],
                "group": ["a"],
                "label": [2],
                "prediction": [0],
                "p_x": [0.7],
                "p_y": [0.2],
                "p_z": [0.1],
                "uncertainty_e": [0.0],
                "steps_used": [1],
                "steps": [1],
            }
        ),
        False,
    ).events
    assert events.logit[0] == pytest.approx(logit(0.7)) and not events.happened[0]
