"""Calibration: against logistic regression, what it promises, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from evaluate_samples import sample_predictions
from meddiff.errors import ConfigError, DataError
from meddiff.readout.calibrating import calibrate, with_calibrated
from meddiff.readout.calibration import Calibration, fit
from meddiff.readout.calibration_file import read_calibration, write_calibration
from meddiff.readout.predictions import calibrated, read_predictions, scores, write_predictions


def drawn(images: int, slope: float, offsets: list[float], scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores [I, K], and labels drawn with the probabilities softmax(slope * score + offsets)."""
    generator = np.random.default_rng(0)
    scores = scale * generator.normal(size=(images, len(offsets)))
    p = softmax(slope * scores + np.asarray(offsets), axis=1)
    return scores, (p.cumsum(axis=1) < generator.random((images, 1))).sum(axis=1)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_what_labels_were_drawn_with_is_found(scale):
    scores, labels = drawn(40_000, 0.7 / scale, [-0.5, 0.1, 0.4], scale)
    found = fit(scores, labels, ["a", "b", "c"], offsets=True)
    assert found.slope * scale == pytest.approx(0.7, abs=0.03)
    assert found.offsets == pytest.approx([-0.5, 0.1, 0.4], abs=0.05)
    assert found.counts == tuple(np.bincount(labels))


def test_two_classes_are_a_logistic_regression():
    """Smoothed labels are weights of both labels of an image."""
    scores, labels = drawn(300, 1.3, [0.4, -0.4], 2.0)
    found = fit(scores, labels, ["a", "b"], offsets=True)
    counts = np.bincount(labels)
    own = ((counts + 0.5) / (counts + 1))[labels]
    x = np.tile(scores[:, 1] - scores[:, 0], 2)[:, None]
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
    reference.fit(x, np.append(labels, 1 - labels), sample_weight=np.append(own, 1 - own))
    assert found.slope == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert found.offsets[1] - found.offsets[0] == pytest.approx(reference.intercept_[0], abs=1e-4)


def test_separated_classes_have_a_finite_slope_and_wrong_scores_none_below_zero():
    labels = np.arange(20) % 2
    apart = np.stack([-labels, labels], axis=1).astype(float)
    found = fit(apart, labels, ["a", "b"], offsets=True)
    # Of ten images a class half a one is the other's.
    np.testing.assert_allclose(found(apart).max(axis=1), 10.5 / 11, atol=1e-4)
    np.testing.assert_allclose(fit(-apart, labels, ["a", "b"], offsets=True)(apart), 0.5, atol=1e-6)
    np.testing.assert_allclose(fit(np.zeros((20, 2)), labels, ["a", "b"], offsets=True)(apart), 0.5)


def test_temperature_moves_no_decision():
    scores, labels = drawn(500, 0.3, [1.0, -1.0, 0.0], 3.0)
    found = fit(scores, labels, ["a", "b", "c"], offsets=False)
    assert found.offsets == (0, 0, 0)
    np.testing.assert_array_equal(found(scores).argmax(axis=1), scores.argmax(axis=1))


def test_another_prevalence_is_bayes_rule():
    found = Calibration(("a", "b"), 1.0, (0.0, 0.0), (50, 150))
    p = found(np.array([[0.3, -0.2]]))[0]
    moved = found(np.array([[0.3, -0.2]]), prevalence=[0.9, 0.1])[0]
    odds = p[1] / p[0] * (0.1 / 0.9) / (150 / 50)
    np.testing.assert_allclose(moved, [1 / (1 + odds), odds / (1 + odds)])


@pytest.mark.parametrize("labels", [[0, 0, 0], [1]])
def test_a_class_without_images_is_named(labels):
    with pytest.raises(DataError, match=r"none is of class '(ill|healthy)'.*validation: false"):
        fit(np.zeros((len(labels), 2)), np.array(labels), ["healthy", "ill"], offsets=True)


def test_tables_and_files(tmp_path):
    table = sample_predictions("majority")
    calibration = calibrate(table, "valid.csv", offsets=True)
    write_calibration(tmp_path / "c.json", calibration)
    assert read_calibration(tmp_path / "c.json") == calibration
    added = with_calibrated(table, calibration, "c.json")
    assert [c for c in added if c.startswith("calibrated_")] == ["calibrated_class 0", "calibrated_class 1"]
    write_predictions(added, tmp_path / "p.csv")
    pd.testing.assert_frame_equal(read_predictions(tmp_path / "p.csv"), added, check_dtype=False)
    np.testing.assert_allclose(calibrated(added).sum(axis=1), 1)
    assert calibrated(table) is None
    moved = calibrated(with_calibrated(table, calibration, "c.json", {"class 1": 0.1, "class 0": 0.9}))
    np.testing.assert_allclose(moved, calibration(scores(table), [0.9, 0.1]))
    with pytest.raises(ConfigError, match=r"^prevalence: is of the classes \['ill'\]"):
        with_calibrated(table, calibration, "c.json", {"ill": 1.0})
    with pytest.raises(DataError, match=r"^c.json: is of the classes .*fit it again"):
        with_calibrated(sample_predictions("majority", classes=3), calibration, "c.json")
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(DataError, match=r"c.json: is no calibration"):
        read_calibration(tmp_path / "c.json")
