"""The table of calibration and the reliability figure, from predictions to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from artifact_samples import command_of
from evaluate_samples import sample_predictions
from meddiff.cli import main
from meddiff.evaluate.summary import MetricsSettings, summarise
from meddiff.readout.calibrating import calibrate, with_calibrated
from meddiff.readout.predictions import write_predictions
from meddiff.result_csv import write_csv

HOW = {"bootstrap_samples": 100, "confidence": 0.95, "bootstrap_seed": 0}
RUNS = [
    {"dataset": "chest", "model": "unet", "seed": 0, "votes": 0, "decision": "majority"},
    {"dataset": "chest", "model": "resnet", "seed": 0, "votes": None, "decision": "softmax"},
]
LAYOUT: dict[str, Any] = {
    "datasets": [{"name": "chest", "title": "Chest"}],
    "models": [
        {"name": "unet", "title": "UNet", "family": "diffusion"},
        {"name": "resnet", "title": "ResNet", "family": "cnn"},
    ],
    "runs": RUNS,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Predictions and metrics of both runs."""
    folder = tmp_path_factory.mktemp("runs")
    found: dict[str, list[Path]] = {"predictions": [], "metrics": []}
    for run in RUNS:
        decision = run["decision"]
        validation, test = (sample_predictions(decision, images=80, seed=seed) for seed in (1, 2))
        calibration = calibrate(validation, "v.csv", offsets=decision == "majority")
        table = with_calibrated(test, calibration, "c.json")
        metrics = summarise(table, MetricsSettings(**run, **HOW))
        found["predictions"].append(folder / f"{decision}.csv")
        found["metrics"].append(folder / f"{decision}-metrics.csv")
        write_predictions(table, found["predictions"][-1])
        write_csv(metrics, found["metrics"][-1])
    return found


def test_table_has_both_side_by_side(files: dict[str, list[Path]], tmp_path: Path) -> None:
    settings = {**LAYOUT, "confidence": 0.95, "prevalence": {"chest": {"healthy": 0.9, "ill": 0.1}}}
    assert main(command_of("tables/calibration", settings, tmp_path, metrics=files["metrics"])) == 0
    table = pd.read_csv(tmp_path / "calibration.csv")
    metrics = pd.read_csv(files["metrics"][0]).set_index("metric")
    row = table[(table["model"] == "unet") & (table["metric"] == "nll")].iloc[0]
    assert [row["raw"], row["calibrated"]] == metrics.loc[["nll", "nll_calibrated"], "value"].tolist()
    assert row["calibrated_ci_high"] == metrics.loc["nll_calibrated", "ci_high"]
    text = (tmp_path / "calibration.md").read_text()
    assert f"{row['raw']:.3f} → {row['calibrated']:.3f}" in text
    assert "On Chest calibrated probabilities are for 90 % healthy, 10 % ill." in text


def test_figure_has_curves_and_metrics(files: dict[str, list[Path]], tmp_path: Path) -> None:
    settings = {**LAYOUT, **HOW, "style": {}}
    assert main(command_of("figures/reliability", settings, tmp_path, **files)) == 0
    table = pd.read_csv(tmp_path / "reliability.csv")
    one = table[(table["decision"] == "majority") & (table["probabilities"] == "calibrated")]
    assert (one["quantity"] == "observed").sum() == 41
    metrics = pd.read_csv(files["metrics"][0]).set_index("metric")["value"]
    found = one.set_index("quantity")["value"]
    for name in ("calibration_slope", "calibration_intercept", "brier", "nll", "smooth_ece", "ece"):
        assert found[name] == metrics[f"{name}_calibrated"]
    assert (tmp_path / "reliability.png").stat().st_size > 10_000
