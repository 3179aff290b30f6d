"""Means over folds: their values, and whether their intervals cover."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from meddiff.evaluate.comparison import compare
from meddiff.evaluate.folds.means import (
    FoldSet,
    limits_over_folds,
    mean_values,
    over_seeds_and_folds,
    sizes_with_sums,
)
from meddiff.evaluate.over_seeds import RESULT_KEYS, over_seeds
from meddiff.evaluate.proportion import share_interval
from meddiff.evaluate.statistics import Resampling
from meddiff.readout.from_logits import from_probabilities
from meddiff.runs import Run

FOLDS = FoldSet(name="eyes", folds=["eyes-fold1", "eyes-fold2"], test_per_train=0.5)


def metrics(values: dict[str, list[float]], **more: object) -> pd.DataFrame:
    rows = [
        {"dataset": dataset, "seed": seed, "value": value, "ci_low": value - 0.1, "ci_high": value + 0.1}
        for dataset, of in values.items()
        for seed, value in enumerate(of)
    ]
    fixed = {"model": "unet", "decision": "mean", "metric": "accuracy", "n": 20, **more}
    return pd.DataFrame(rows).assign(**fixed)


def test_the_mean_is_that_of_the_means_over_seeds() -> None:
    given = metrics({"eyes-fold1": [0.5, 0.7], "eyes-fold2": [0.8, 0.8], "skin": [0.9]})
    table = over_seeds_and_folds(given, 0.95, [FOLDS]).set_index("dataset")
    assert list(table.index) == ["eyes", "eyes-fold1", "eyes-fold2", "skin"]
    mean = table.loc["eyes"]
    assert mean["value"] == pytest.approx((0.6 + 0.8) / 2)
    assert mean["sd"] == pytest.approx(np.std([0.6, 0.8], ddof=1))
    assert (mean["folds"], mean["n"], mean["n_largest"], mean["seeds"]) == (2, 40, 40, 2)
    assert table["folds"].isna().tolist() == [False, True, True, True]
    single = table.drop(index="eyes").drop(columns="folds").reset_index()
    pd.testing.assert_frame_equal(single[over_seeds(given, 0.95).columns], over_seeds(given, 0.95))


def test_without_folds_nothing_changes() -> None:
    given = metrics({"skin": [0.9, 0.8]})
    pd.testing.assert_frame_equal(over_seeds_and_folds(given, 0.95), over_seeds(given, 0.95))


def test_a_fold_without_a_value_is_left_out_and_counted() -> None:
    given = metrics({"eyes-fold1": [np.nan], "eyes-fold2": [0.8]})
    mean = over_seeds_and_folds(given, 0.95, [FOLDS]).iloc[0]
    assert (mean["value"], mean["folds"]) == (0.8, 1) and np.isnan(mean["sd"])
    nowhere = metrics({"eyes-fold1": [np.nan], "eyes-fold2": [np.nan]})
    mean = over_seeds_and_folds(nowhere, 0.95, [FOLDS]).iloc[0]
    assert mean[["value", "ci_low", "ci_high"]].isna().all() and mean["folds"] == 0


def test_limits_by_hand() -> None:
    """With two folds of .6 and .8: t of one degree of freedom is 12.7062, S^2 is .02."""
    low, high = limits_over_folds([0.6, 0.8], [0.5, 0.7], [0.7, 0.9], 0.5, 0.95)
    half = 12.7062 * np.sqrt((1 / 2 + 0.5) * 0.02)
    assert (low, high) == pytest.approx((0.7 - half, 0.7 + half), rel=1e-5)
    # Folds that agree by chance: what their images leave open is that of both samples together.
    low, high = limits_over_folds([0.7, 0.7], [0.6, 0.6], [0.75, 0.75], 0.5, 0.95)
    assert (low, high) == pytest.approx((0.7 - 0.1 / np.sqrt(2), 0.7 + 0.05 / np.sqrt(2)))
    # Of the same images, they leave as much open as for one fold.
    assert limits_over_folds([0.7, 0.7], [0.6, 0.6], [0.75, 0.75], 0.5, 0.95, same_images=True) == (
        pytest.approx((0.6, 0.75))
    )
    assert limits_over_folds([0.7], [0.6], [0.75], 0.5, 0.95) == (0.6, 0.75)


def test_limits_stay_possible() -> None:
    given = metrics({"eyes-fold1": [0.9], "eyes-fold2": [1.0]})
    mean = over_seeds_and_folds(given, 0.95, [FOLDS]).iloc[0]
    assert mean["ci_high"] == 1 and 0 <= mean["ci_low"] < 0.1


def test_sizes_are_summed_where_images_are_different_ones() -> None:
    table = pd.DataFrame(
        {
            "dataset": ["eyes-fold1", "eyes-fold2", "eyes-fold1-on-clinic", "eyes-fold2-on-clinic"],
            "n_by_class": ["3/4", "3/5", "7/8", "7/8"],
        }
    )
    pairs = FoldSet(name="eyes-on-clinic", folds=table["dataset"].tolist()[2:], test_per_train=0.5)
    sizes = sizes_with_sums(table, [FOLDS, pairs])
    assert (sizes["eyes"], sizes["eyes-on-clinic"], sizes["eyes-fold1"]) == ("6/9", "7/8", "3/4")


def test_mean_values() -> None:
    given = metrics({"eyes-fold1": [0.5], "eyes-fold2": [0.8]})[[*RESULT_KEYS, "value"]]
    found = mean_values(given, [FOLDS], RESULT_KEYS)
    assert found.set_index("dataset")["value"].to_dict() == pytest.approx(
        {"eyes-fold1": 0.5, "eyes-fold2": 0.8, "eyes": 0.65}
    )


@pytest.mark.parametrize(("images", "folds"), [(60, 3), (200, 5)])
def test_intervals_cover_what_is_to_be_expected_of_other_data(images: int, folds: int) -> None:
    """Nearest class mean in three dimensions; what is to be covered is the mean over all draws of the data.

    Accuracy is that of as many training images as a fold has. 300 draws: the error of a coverage of 95 %
    is 1.3 % (one standard deviation). Found are 99 %, and 73 and
    86 % without the correction.
    """
    rng, draws = np.random.default_rng(0), 300
    found, limits, plain = [], [], []
    for _ in range(draws):
        label = rng.permutation(np.arange(images) % 2)
        x = rng.normal(size=(images, 3)) + 0.6 * label[:, None]
        fold = np.arange(images) % folds
        accuracies, intervals = [], []
        for k in range(folds):
            train, test = fold != k, fold == k
            means = [x[train & (label == c)].mean(axis=0) for c in (0, 1)]
            distances = [np.square(x[test] - mean).sum(axis=1) for mean in means]
            correct = (np.argmin(distances, axis=0) == label[test]).astype(float)
            accuracies.append(correct.mean())
            intervals.append(share_interval(correct, np.arange(len(correct)), 0.95))
        low, high = np.transpose(intervals)
        found.append(np.mean(accuracies))
        limits.append(limits_over_folds(accuracies, low, high, 1 / (folds - 1), 0.95))
        plain.append(1.96 * np.std(accuracies, ddof=1) / np.sqrt(folds))
    truth = np.mean(found)
    covered = np.mean([low <= truth <= high for low, high in limits])
    assert 0.94 <= covered <= 1
    assert np.mean(np.abs(np.array(found) - truth) <= plain) < covered


def predictions(seed: int, images: int, shift: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = np.arange(images) % 2
    p = 1 / (1 + np.exp(-rng.normal(size=images) - shift * (label - 0.5)))
    ids = [f"{seed}-{k:03d}" for k in range(images)]
    return from_probabilities(ids, ids, label, np.stack([1 - p, p], axis=1).tolist())


def test_folds_are_compared_together_with_one_baseline() -> None:
    """Accuracy on all test images, AUROC as the mean of the folds; the folds themselves are not tested."""
    runs = {
        (fold, model): Run(dataset=f"eyes-fold{fold}", model=model, seed=0, votes=votes, decision=decision)
        for fold in (1, 2)
        for model, votes, decision in (
            ("unet", 0, "mean"),
            ("good", None, "softmax"),
            ("bad", None, "softmax"),
        )
    }
    shifts = {"unet": 2.0, "good": 1.0, "bad": 0.2}
    test = [(run, predictions(fold, 40, shifts[model])) for (fold, model), run in runs.items()]
    # On its own the first fold would choose the other baseline.
    valid = [
        (runs[1, "good"], predictions(7, 40, -1.0)),
        (runs[1, "bad"], predictions(7, 40, 0.5)),
        (runs[2, "good"], predictions(8, 40, 9.0)),
        (runs[2, "bad"], predictions(8, 40, -4.0)),
    ]
    how = Resampling(bootstrap_samples=200, confidence=0.95, bootstrap_seed=0)
    table = compare(test, how, valid, [FOLDS]).set_index("dataset")
    assert list(table.index) == ["eyes", "eyes-fold1", "eyes-fold2"] and set(table["baseline"]) == {"good"}
    whole, folds = table.loc["eyes"], table.loc[FOLDS.folds]
    assert whole["n"] == 80 and whole["only_model_correct"] == folds["only_model_correct"].sum()
    for name in ("accuracy", "difference", "auroc", "auroc_difference"):
        assert whole[name] == pytest.approx(folds[name].mean())
    for low, high in (("ci_low", "ci_high"), ("auroc_ci_low", "auroc_ci_high")):
        assert (whole[high] - whole[low]) < 0.9 * (folds[high] - folds[low]).mean()
    assert whole["p_holm"] == whole["p_value"] and whole["auroc_p_holm"] == whole["auroc_p_value"]
    assert whole["p_value"] < folds["p_value"].max()
    assert folds[["p_holm", "auroc_p_holm"]].isna().all(axis=None)
    alone = compare(test, how, valid)
    assert alone["baseline"].tolist() == ["bad", "good"] and alone["p_holm"].notna().all()
