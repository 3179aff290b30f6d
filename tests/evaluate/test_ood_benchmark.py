"""How well scores tell shifted images from test images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from meddiff.errors import DataError
from meddiff.evaluate.ood import COLUMNS, Scored, benchmark
from meddiff.evaluate.statistics import Resampling
from meddiff.runs import ScoringRun

HOW = Resampling(bootstrap_samples=200, confidence=0.9, bootstrap_seed=0)
TEST, SHIFTED = 40, 15


def scored(seed: int, by: float, kind: str = "profile", beyond: float | None = 0.1) -> Scored:
    """Images whose score is higher by `by` where they are inverted, and twice that where noisy."""
    rng = np.random.default_rng(seed)
    shifts = np.repeat(["test", "inverted", "noisy"], [TEST, SHIFTED, SHIFTED])
    own = [f"i{k}" for k in range(TEST)]
    ids = [*own, *(f"{shift}:{name}" for shift in ("inverted", "noisy") for name in own[:SHIFTED])]
    values = rng.normal(size=len(ids)) + by * np.select([shifts == "inverted", shifts == "noisy"], [1, 2], 0)
    groups = np.array([name.rpartition(":")[2] for name in ids])
    shares = {} if beyond is None else {kind: beyond}
    return Scored(np.array(ids), groups, shifts, {kind: values}, shares, rng.random(TEST) < 0.2)


def run(model: str, seed: int = 0) -> ScoringRun:
    return ScoringRun(dataset="chest", model=model, seed=seed, votes=seed)


def test_areas_are_those_of_scikit_learn_and_differences_are_paired():
    unet, resnet = scored(0, 1.0), scored(1, 0.3, "energy")
    table = benchmark([(run("unet"), unet), (run("resnet"), resnet)], ["resnet"], HOW)
    assert list(table.columns) == COLUMNS
    rows = table.set_index(["model", "shift"])
    for model, of, kind in (("unet", unet, "profile"), ("resnet", resnet, "energy")):
        areas = []
        for shift in ("inverted", "noisy"):
            here = np.isin(of.shifts, ["test", shift])
            areas.append(roc_auc_score(of.shifts[here] == shift, of.scores[kind][here]))
            found = rows.loc[(model, shift)]
            assert found["auroc"] == pytest.approx(areas[-1]) and found["images"] == SHIFTED
            assert found["ci_low"] < areas[-1] < found["ci_high"]
        assert rows.loc[(model, "mean"), "auroc"] == pytest.approx(np.mean(areas))
        assert rows.loc[(model, "worst"), "auroc"] == pytest.approx(min(areas))
        assert rows.loc[(model, "test"), "beyond"] == 0.1
    mean = rows.loc[("unet", "mean")]
    assert mean["difference"] == pytest.approx(mean["auroc"] - rows.loc[("resnet", "mean"), "auroc"])
    assert mean["difference_ci_low"] < mean["difference"] < mean["difference_ci_high"]
    assert rows.loc["resnet", "difference"].isna().all()


def test_the_same_scores_do_not_differ():
    """Unpaired, the difference of two equal rankings would have an interval."""
    one = scored(0, 1.0)
    again = replace(one, scores={"energy": 3 * one.scores["profile"]}, beyond={"energy": 0.1})
    table = benchmark([(run("unet"), one), (run("resnet"), again)], ["resnet"], HOW)
    found = table[(table["model"] == "unet") & (table["shift"] == "mean")].iloc[0]
    assert found["difference"] == found["difference_ci_low"] == found["difference_ci_high"] == 0


def test_seeds_are_averaged():
    table = benchmark([(run("unet", seed), scored(seed, 1.0, beyond=None)) for seed in (0, 1)], [], HOW)
    assert table["beyond"].isna().all() and table["difference"].isna().all()
    each = [benchmark([(run("unet"), scored(seed, 1.0))], [], HOW)["auroc"] for seed in (0, 1)]
    shifts = table["shift"].isin(["inverted", "noisy", "mean"])
    np.testing.assert_allclose(table["auroc"][shifts], np.mean(each, axis=0)[shifts])
    assert (table["seeds"] == 2).all()


def test_other_images_are_refused():
    other = scored(1, 1.0)
    other = replace(other, ids=np.char.add(other.ids, "x"))
    with pytest.raises(DataError, match=r"shifts of chest: .* different images"):
        benchmark([(run("unet"), scored(0, 1.0)), (run("dit"), other)], [], HOW)
