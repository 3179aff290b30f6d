"""Bootstrap intervals, and the tidy metrics file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluate_samples import sample_predictions
from meddiff.cli import main
from meddiff.errors import DataError
from meddiff.evaluate import statistics
from meddiff.evaluate.metrics.catalogue import point_metrics
from meddiff.evaluate.summary import COLUMNS, MetricsSettings, read_metrics, summarise
from meddiff.readout.predictions import write_predictions
from meddiff.result_csv import write_csv
from meddiff.runs import Run

RUN = {"dataset": "chest", "model": "unet", "seed": 0, "decision": "majority"}
RESAMPLING = {"bootstrap_samples": 200, "confidence": 0.95, "bootstrap_seed": 0}


def weights_of(groups: list[str], samples: int = 50, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(statistics.bootstrap_weights(groups, samples, seed)))


def test_images_of_a_group_are_drawn_together() -> None:
    groups = ["b", "a", "b", "c", "a", "b"]
    weights = weights_of(groups)
    assert weights.shape == (50, 6)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3)  # as many groups as there are


def test_weights_depend_on_the_seed_but_not_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [str(i) for i in range(7)]
    whole = weights_of(groups)
    np.testing.assert_array_equal(whole, weights_of(groups))
    assert not np.array_equal(whole, weights_of(groups, seed=1))
    monkeypatch.setattr(statistics, "_BLOCK_ELEMENTS", 21)
    np.testing.assert_array_equal(whole, weights_of(groups))


def test_percentiles_leave_out_undefined_resamples() -> None:
    values = np.stack([np.append(np.arange(101.0), np.nan), np.full(102, np.nan)], axis=1)
    low, high = statistics.percentile_interval(values, 0.9)
    np.testing.assert_allclose(low, [5, np.nan])
    np.testing.assert_allclose(high, [95, np.nan])


def how(samples: int, confidence: float, seed: int) -> statistics.Resampling:
    return statistics.Resampling(bootstrap_samples=samples, confidence=confidence, bootstrap_seed=seed)


def test_intervals_cover_the_true_accuracy() -> None:
    generator = np.random.default_rng(0)
    groups = np.arange(120)
    covered = 0
    for seed in range(100):
        correct = generator.random(120) < 0.8
        low, high = statistics.mean_interval(correct, groups, how(200, 0.9, seed))
        covered += low <= 0.8 <= high
    assert 80 <= covered <= 98  # nominal 90


def test_clusters_widen_the_interval() -> None:
    correct = np.repeat(np.random.default_rng(1).random(40) < 0.7, 5)
    images = statistics.mean_interval(correct, np.arange(200), how(500, 0.95, 0))
    patients = statistics.mean_interval(correct, np.arange(200) // 5, how(500, 0.95, 0))
    assert (patients[1] - patients[0]) > 1.7 * (images[1] - images[0])  # sqrt(5) in the limit


@pytest.mark.parametrize("classes", [2, 3])
def test_summary_has_every_metric_within_its_interval(classes: int) -> None:
    table = sample_predictions("majority", classes=classes, images=90, per_group=2)
    summary = summarise(table, MetricsSettings(**RUN, **RESAMPLING))
    assert list(summary.columns) == COLUMNS
    assert dict(zip(summary["metric"], summary["value"], strict=True)) == point_metrics(table, True)
    for column in ("accuracy", "f1", "auroc", "brier", "nll"):
        row = summary[summary["metric"] == column].iloc[0]
        assert row["ci_low"] < row["value"] < row["ci_high"]
    assert (summary["n"] == 90).all()
    assert summary["n_by_class"].eq({2: "45/45", 3: "30/30/30"}[classes]).all()


def test_metrics_command(tmp_path: Path) -> None:
    table = sample_predictions("majority", images=30)
    write_predictions(table, tmp_path / "p.csv")
    command = ["metrics", "--predictions", str(tmp_path / "p.csv"), "--params", json.dumps(RUN | RESAMPLING)]
    assert main([*command, "--out", str(tmp_path / "a.csv")]) == 0
    assert main([*command, "--out", str(tmp_path / "b.csv")]) == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    expected = summarise(table, MetricsSettings(**RUN, **RESAMPLING))
    pd.testing.assert_frame_equal(read_metrics(tmp_path / "a.csv", Run(**RUN)), expected, check_dtype=False)


def test_few_images_of_a_class_are_said_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for positives, warned in ((3, True), (12, False)):
        table = sample_predictions("majority", images=40)
        table["label"] = np.arange(40) < positives
        table["label"] = table["label"].astype(int)
        write_predictions(table, tmp_path / "p.csv")
        command = ["metrics", "--predictions", str(tmp_path / "p.csv"), "--out", str(tmp_path / "m.csv")]
        caplog.clear()
        assert main([*command, "--params", json.dumps(RUN | RESAMPLING)]) == 0
        assert ("few test images (3 of class 1)" in caplog.text) == warned


def test_metrics_command_names_a_wrong_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    params = json.dumps({**RUN, **RESAMPLING, "decision": "by vote", "samples": 3})
    arguments = ["--predictions", "absent.csv", "--params", params, "--out", str(tmp_path / "m.csv")]
    assert main(["metrics", *arguments]) == 1
    assert "--params: decision" in caplog.text
    assert "--params: samples" in caplog.text


def test_undefined_values_survive_the_file(tmp_path: Path) -> None:
    table = sample_predictions("majority", images=10)
    table["label"] = 1
    write_csv(summarise(table, MetricsSettings(**RUN, **RESAMPLING)), tmp_path / "m.csv")
    read = read_metrics(tmp_path / "m.csv", Run(**RUN)).set_index("metric")
    assert np.isnan(read.loc["auroc", ["value", "ci_low", "ci_high"]].astype(float)).all()
    assert read.loc["accuracy", "value"] == (table["prediction"] == 1).mean()


def test_metrics_of_another_run_are_refused(tmp_path: Path) -> None:
    settings = MetricsSettings(**RUN, **RESAMPLING)
    write_csv(summarise(sample_predictions("majority", images=10), settings), tmp_path / "m.csv")
    with pytest.raises(DataError, match=r"seed is \[0\], expected 1"):
        read_metrics(tmp_path / "m.csv", Run(**{**RUN, "seed": 1}))
