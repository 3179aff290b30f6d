"""Intervals of the metrics: they cover, and have a width where all images are right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm

from evaluate_samples import sample_errors
from meddiff.evaluate.curves import removal_curves, step_ablation
from meddiff.evaluate.efficiency import RunErrors, efficiency
from meddiff.evaluate.intervals import metric_intervals
from meddiff.evaluate.metrics.catalogue import WeightedMetrics, point_metrics
from meddiff.evaluate.statistics import Resampling, bootstrap
from meddiff.readout.from_errors import from_errors
from meddiff.readout.from_logits import from_probabilities
from meddiff.runs import Run, ScoringRun

LAYOUT = {
    "datasets": [{"name": "chest", "title": "Chest"}],
    "models": [{"name": "unet", "title": "UNet", "family": "diffusion"}],
}
# Metrics without a formula for such predictions: their truth is what very many images give.
COVERED = ("brier", "aurc_softmax_entropy", "augrc_softmax_entropy", "mcc", "average_precision")
RESAMPLING = {"bootstrap_samples": 100, "bootstrap_seed": 0, "confidence": 0.95}


def intervals_of(table: pd.DataFrame, seed: int = 0) -> dict[str, tuple[float, float]]:
    how = Resampling(bootstrap_samples=150, confidence=0.95, bootstrap_seed=seed)
    metrics = WeightedMetrics(table, False)
    draws = bootstrap(metrics, table["group"].to_numpy(), how)
    return metric_intervals(metrics.images, metrics.values(), draws, 0.95)


def binormal(
    generator: np.random.Generator, positives: int, negatives: int, distance: float, size: int = 1
) -> pd.DataFrame:
    """Predictions with log-odds that are normal around +- distance^2 / 2, alike within groups of `size`."""
    labels = np.repeat([1, 0], [positives, negatives])
    groups = np.arange(len(labels)) // size
    shared = 0.8 * (size > 1)
    noise = np.sqrt(shared) * generator.standard_normal(groups.max() + 1)[groups]
    noise = noise + np.sqrt(1 - shared) * generator.standard_normal(len(labels))
    p = 1 / (1 + np.exp(-distance * (noise + distance * (labels - 0.5))))
    names = [f"image{i}" for i in range(len(labels))]
    return from_probabilities(names, groups.astype(str).tolist(), labels, np.stack([1 - p, p], axis=1))


@pytest.mark.parametrize(("positives", "negatives", "size"), [(30, 30, 1), (8, 112, 1), (60, 60, 5)])
@pytest.mark.parametrize("distance", [1.5, 4.5])
def test_they_cover_the_values_of_all_images(
    positives: int, negatives: int, size: int, distance: float
) -> None:
    generator = np.random.default_rng([positives, size, int(distance)])
    runs, right = 120, norm.cdf(distance / 2)  # recall of both classes
    hits, false = positives * right, negatives * (1 - right)
    truth = {
        "accuracy": right,
        "balanced_accuracy": right,
        "recall": right,
        "precision": hits / (hits + false),
        "f1": 2 * hits / (positives + hits + false),
        "auroc": norm.cdf(distance / np.sqrt(2)),
    }
    everything = point_metrics(binormal(generator, 50 * positives, 50 * negatives, distance), False)
    truth |= {name: everything[name] for name in COVERED}
    found = [intervals_of(binormal(generator, positives, negatives, distance, size), i) for i in range(runs)]
    for name, value in truth.items():
        covered = np.mean([low <= value <= high for low, high in (limits[name] for limits in found)])
        # 95 %, less three standard errors of so few runs, sqrt(.05 * .95 / 120) each.
        assert covered >= 0.89, (name, covered)


@pytest.mark.parametrize("classes", [2, 3])
def test_images_that_are_all_right_leave_errors_possible(classes: int) -> None:
    labels = np.arange(120) % classes
    p = np.full((120, classes), 1e-6 / (classes - 1))
    p[np.arange(120), labels] = 1 - 1e-6
    names = [str(i) for i in range(120)]
    found = intervals_of(from_probabilities(names, names, labels, p))
    possible = binomtest(120, 120).proportion_ci(0.95).low
    assert found["accuracy"] == pytest.approx((possible, 1))
    for name in ("balanced_accuracy", "precision", "recall", "f1", "auroc", "average_precision"):
        assert found[name][1] == 1 and 0.9 < found[name][0] <= possible + 0.005, name
    for name in ("ece", "brier", "aurc_softmax_entropy"):
        assert found[name][0] <= 1e-6 and 0.02 < found[name][1] < 0.1 * (1 + (name == "brier")), name


def test_what_one_image_says_of_its_class_is_little() -> None:
    labels = np.arange(50) == 0
    p = np.where(labels, 0.9, 0.1)
    names = [str(i) for i in range(50)]
    found = intervals_of(from_probabilities(names, names, labels.astype(int), np.stack([1 - p, p], axis=1)))
    assert found["recall"] == pytest.approx(tuple(binomtest(1, 1).proportion_ci(0.95)))
    assert found["auroc"][0] < 0.5 and found["balanced_accuracy"][0] < 0.6
    assert found["accuracy"][0] > 0.9


def test_the_interval_of_f1_is_that_of_true_positives_among_all_said_or_true() -> None:
    table = binormal(np.random.default_rng(0), 40, 60, 1.0)
    said = (table["label"] == 1) | (table["prediction"] == 1)
    hits = (table["label"] == 1) & (table["prediction"] == 1)
    share = binomtest(int(hits.sum()), int(said.sum())).proportion_ci(0.95)
    low, high = intervals_of(table)["f1"]
    assert (low, high) == pytest.approx((2 * share.low / (1 + share.low), 2 * share.high / (1 + share.high)))
    assert low < point_metrics(table, False)["f1"] < high


def test_a_class_without_images_has_no_interval() -> None:
    table = binormal(np.random.default_rng(0), 20, 0, 1.0)
    found = intervals_of(table)
    assert np.isnan(found["auroc"]).all() and np.isfinite(found["accuracy"]).all()


def test_figures_and_efficiency_leave_errors_possible() -> None:
    """Every image right at every step: no curve has an interval of no width."""
    errors = sample_errors(images=40, steps=5, skill=60.0)
    runs = [{"dataset": "chest", "model": "unet", "seed": 0}]
    low = 100 * binomtest(40, 40).proportion_ci(0.95).low
    ablation = step_ablation([(ScoringRun(**runs[0]), errors)], [1], 0.95)
    assert ablation["ci_low_percent"].tolist() == pytest.approx([low] * 4)
    decided = [{**runs[0], "decision": "majority"}]
    curve = removal_curves(
        [(Run(**decided[0]), from_errors(errors, "majority"))],
        {"majority": "vote_entropy"},
        Resampling(**RESAMPLING),
    )
    assert curve["accuracy_percent"].eq(100).all()
    left = curve.set_index("removed_percent")["ci_low_percent"]
    assert left[0] == pytest.approx(low)
    assert left[50] == pytest.approx(100 * binomtest(20, 20).proportion_ci(0.95).low)
    table = efficiency(
        [(ScoringRun(**runs[0]), RunErrors(errors))],
        [1],
        [0.1],
        Resampling(**RESAMPLING),
    )
    shares = table[table["metric"] == "accuracy"]
    assert shares["ci_low"].tolist() == pytest.approx([low / 100] * len(shares))
    agreement = table[table["metric"] == "agreement"].set_index("rule")
    assert (agreement.loc["exact", ["ci_low", "ci_high"]] == 1).all()  # it cannot differ
    assert agreement.loc["sequential", "ci_low"].iloc[0] == pytest.approx(low / 100)
    assert (table.loc[table["metric"].isin(["aurc", "ece"]), "ci_high"] > 0.02).all()
