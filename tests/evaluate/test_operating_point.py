"""The operating point: chosen as the ROC curve says, and the metrics there are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from evaluate_samples import sample_predictions
from meddiff.artifacts.tables import operating_point
from meddiff.config.schema.operating_point import YOUDEN, AtLeast
from meddiff.errors import DataError
from meddiff.evaluate.intervals import metric_intervals
from meddiff.evaluate.metrics.catalogue import AT_POINT, WeightedMetrics
from meddiff.evaluate.metrics.operating_point import decided_at, threshold
from meddiff.evaluate.over_seeds import over_seeds
from meddiff.evaluate.summary import MetricsSettings, summarise
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
    with pytest.raises(DataError, match="has none of one"):
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


def run_of(decision: str, **more: object) -> MetricsSettings:
    identity = {"dataset": "chest", "model": "unet", "seed": 0, "decision": decision}
    resampling = {"bootstrap_samples": 100, "confidence": 0.95, "bootstrap_seed": 0}
    return MetricsSettings(**identity, **resampling, **more)


@pytest.mark.parametrize("decision", ["majority", "mean", "softmax"])
def test_it_is_chosen_on_validation_and_judged_on_test(decision: str) -> None:
    validation, test = (sample_predictions(decision, images=120, seed=seed) for seed in (1, 2))
    at_least = AtLeast(sensitivity=0.9)
    rows = summarise(test, run_of(decision, operating_point=at_least), validation).set_index("metric")
    point = rows.loc["threshold", "value"]
    called = probabilities(validation)[:, 1] >= point
    assert called[validation["label"] == 1].mean() >= 0.9  # 54 of 60
    assert (probabilities(validation)[:, 1] > point)[validation["label"] == 1].mean() < 0.9
    said = probabilities(test)[:, 1] >= point
    assert rows.loc["sensitivity", "value"] == said[test["label"] == 1].mean()
    assert rows.loc["npv", "value"] == (test["label"] == 0)[~said].mean()
    assert rows.loc["npv", "ci_low"] < rows.loc["npv", "value"] < rows.loc["npv", "ci_high"]
    # What is no matter of the operating point stays.
    alone = summarise(test, run_of(decision)).set_index("metric")
    np.testing.assert_array_equal(rows.loc[alone.index, "value"], alone["value"])
    assert not {"threshold", *AT_POINT} & set(alone.index)


def test_validation_of_other_classes_is_refused_and_more_classes_have_none() -> None:
    two, three = (sample_predictions("softmax", classes=classes) for classes in (2, 3))
    with pytest.raises(DataError, match="validation split are of the classes"):
        summarise(two, run_of("softmax"), three)
    assert "threshold" not in set(summarise(three, run_of("softmax"), three)["metric"])


def test_the_table_names_the_positive_class_and_its_share() -> None:
    runs = [run_of("softmax"), run_of("softmax").model_copy(update={"seed": 1})]
    tables = [
        summarise(sample_predictions("softmax", images=90, seed=run.seed), run, sample_predictions("softmax"))
        for run in runs
    ]
    keys = ("dataset", "model", "seed", "decision")
    settings = operating_point.Settings(
        datasets=[{"name": "chest", "title": "Chest", "positive": "effusion"}],
        models=[{"name": "unet", "title": "UNet", "family": "diffusion"}],
        runs=[{key: getattr(run, key) for key in keys} for run in runs],
        operating_point={"specificity": 0.8},
        confidence=0.95,
    )
    chosen = pd.concat(tables)
    chosen = over_seeds(chosen[chosen["metric"].isin(["threshold", *AT_POINT])], 0.95)
    grid = operating_point.grid_of(chosen.assign(n_by_class="60/30"), settings)
    assert grid.blocks[0].title == "Chest: effusion is positive, 33.3 % of images"
    assert "with a specificity of at least 80 % on the validation split" in grid.caption
    assert "  " not in grid.caption and "between seeds" in grid.caption
    sensitivity = np.mean([t.set_index("metric").loc["sensitivity", "value"] for t in tables])
    assert grid.blocks[0].rows[0][2].value.startswith(f"{100 * sensitivity:.1f}")
