"""Net benefit: its definition by a confusion matrix, its references, and intervals that cover."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from meddiff.errors import DataError
from meddiff.evaluate.net_benefit import ALL, NONE, THRESHOLDS_PERCENT, NetBenefit, decision_curves
from meddiff.evaluate.statistics import Resampling, bootstrap, percentile_interval
from meddiff.runs import Run

RESAMPLING = Resampling(bootstrap_samples=200, confidence=0.95, bootstrap_seed=0)


def table_of(seed: int, images: int = 80) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    ids = [f"image{i}" for i in range(images)]
    positive = np.arange(images) % 4 == 0
    p = 1 / (1 + np.exp(-generator.normal(np.where(positive, 1, -2), 1)))
    return pd.DataFrame({"image_id": ids, "group": ids, "positive": positive, "p": p})


def run(seed: int, decision: str = "softmax", model: str = "resnet") -> Run:
    return Run(dataset="chest", model=model, seed=seed, decision=decision)


def test_it_is_what_the_confusion_matrix_says() -> None:
    table, t = table_of(0), 0.2
    _, false, _, true = confusion_matrix(table["positive"], table["p"] >= t).ravel()
    expected = true / 80 - false / 80 * t / (1 - t)  # Vickers & Elkin (2006)
    found = NetBenefit(table["p"], table["positive"], [t])(np.ones((1, 80)))
    assert found.item() == pytest.approx(expected)


def test_curves_and_their_references() -> None:
    tables = [table_of(0), table_of(1).iloc[::-1]]  # the order of images must not matter
    found = decision_curves([(run(i), table) for i, table in enumerate(tables)], RESAMPLING)
    assert found["model"].unique().tolist() == ["resnet", ALL, NONE]
    curve = {name: part.set_index("threshold_percent") for name, part in found.groupby("model")}
    assert curve["resnet"].index.tolist() == THRESHOLDS_PERCENT.tolist()
    alone = [decision_curves([(run(0), table)], RESAMPLING).head(99)["net_benefit"] for table in tables]
    np.testing.assert_allclose(curve["resnet"]["net_benefit"], np.mean(alone, axis=0), atol=1e-12)
    assert curve[ALL].loc[20, "net_benefit"] == pytest.approx(0.25 - 0.75 * 0.25)
    assert (curve[NONE][["net_benefit", "ci_low", "ci_high"]] == 0).all(axis=None)
    between = curve["resnet"]
    assert (between["ci_low"] <= between["net_benefit"]).all()
    assert (between["net_benefit"] <= between["ci_high"]).all()
    # Below all probabilities everything is acted on.
    low = decision_curves([(run(0), tables[0].assign(p=0.5))], RESAMPLING)
    assert low["net_benefit"][:50].tolist() == low.loc[low["model"] == ALL, "net_benefit"].tolist()[:50]


def test_seeds_must_have_the_same_images() -> None:
    with pytest.raises(DataError, match="different images"):
        decision_curves([(run(0), table_of(0)), (run(1), table_of(1, images=60))], RESAMPLING)


def test_intervals_cover_the_net_benefit_of_all_images() -> None:
    generator, t, hits = np.random.default_rng(0), 0.3, []
    shares = np.array([0.2, 0.05, 0.75])  # rightly acted on, wrongly acted on, not acted on
    truth = shares[0] - shares[1] * t / (1 - t)
    for _ in range(200):
        kind = generator.choice(3, p=shares, size=150)
        benefit = NetBenefit(kind < 2, kind == 0, [t])
        draws = bootstrap(lambda w, of=benefit: {"nb": of(w)}, np.arange(150), RESAMPLING)["nb"]
        low, high = percentile_interval(draws, 0.95)
        hits.append(low[0] <= truth <= high[0])
    assert np.mean(hits) >= 0.9  # 95 %, less three standard errors of 200 runs


def test_with_a_prevalence_it_is_that_of_images_in_such_a_mix() -> None:
    table, t = table_of(0), THRESHOLDS_PERCENT / 100  # 20 of 80 are positive
    copies = np.where(table["positive"], 1, 3)[None]  # 20 of 200
    expected = NetBenefit(table["p"], table["positive"], t)(copies)
    found = NetBenefit(table["p"], table["positive"], t, prevalence=0.1)(np.ones((1, 80)))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    curves = decision_curves([(run(0), table)], RESAMPLING, {"chest": 0.1}).set_index("threshold_percent")
    np.testing.assert_allclose(curves.loc[curves["model"] == "resnet", "net_benefit"], found[0])
    everyone = curves[curves["model"] == ALL]
    assert everyone.loc[5, ["net_benefit", "ci_low", "ci_high"]].tolist() == pytest.approx(
        [0.1 - 0.9 * 5 / 95] * 3  # the mix is known, and all are acted on
    )
