"""The paper's curves and table beside results of the paper's size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from artifact_samples import command_of
from error_samples import save_errors
from evaluate_samples import sample_errors
from meddiff.cli import main
from meddiff.readout.predictions import is_correct, read_predictions

IMAGES, STEPS = 2040, 501
# Every diffusion row of the paper's table, with made-up skills that lie near its accuracies.
MODELS = {
    "unet": 0.55,
    "dit_b4": 0.6,
    "stable_diffusion_finetuned": 0.5,
    "stable_diffusion_zero_shot": -0.02,
}
RESAMPLING = {"bootstrap_samples": 100, "confidence": 0.95, "bootstrap_seed": 0}


def run_of(model: str, decision: str | None = None) -> dict[str, Any]:
    run = {"dataset": "chexpert", "model": model, "seed": 0}
    return run if decision is None else run | {"decision": decision}


def layout(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "datasets": [{"name": "chexpert", "title": "CheXpert"}],
        "models": [{"name": m, "title": m.upper(), "family": "diffusion"} for m in MODELS],
        "runs": runs,
    }


def call(*arguments: str | Path) -> None:
    assert main([str(argument) for argument in arguments]) == 0


@pytest.fixture(scope="module")
def results(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables and figures of made-up errors files of CheXpert's test split."""
    folder = tmp_path_factory.mktemp("paper")
    published = yaml.safe_load((root / "config/published.yaml").read_text())
    errors, predictions = {}, {}
    for i, (model, skill) in enumerate(MODELS.items()):
        errors[model] = folder / f"{model}.nc"
        save_errors(sample_errors(IMAGES, STEPS, skill=skill, seed=i), errors[model])
        for decision in ("majority", "mean") if model == "stable_diffusion_finetuned" else ("majority",):
            predictions[model, decision] = folder / f"{model}-{decision}.csv"
            call(
                "vote",
                "--errors",
                errors[model],
                "--decision",
                decision,
                "--out",
                predictions[model, decision],
            )
    metrics = []
    for (model, decision), path in predictions.items():
        metrics.append(folder / f"metrics-{path.stem}.csv")
        params = json.dumps(run_of(model, decision) | RESAMPLING)
        call("metrics", "--predictions", path, "--params", params, "--out", metrics[-1])
    runs = [run_of(*key) for key in predictions]

    params = layout(runs) | {"confidence": 0.95, "published": published["classification"]}
    call(*command_of("tables/classification", params, folder, metrics=metrics))
    params = layout([run_of(m) for m in MODELS]) | {"confidence": 0.95, "style": {}}
    params |= {"steps": published["step_ablation"]["steps"], "published": published["step_ablation"]}
    call(*command_of("figures/step_ablation", params, folder, errors=list(errors.values())))
    majority = [run_of(m, "majority") for m in MODELS]
    params = layout(majority) | RESAMPLING | {"published": published["uncertainty"], "style": {}}
    decided = [predictions[m, "majority"] for m in MODELS]
    call(*command_of("figures/uncertainty", params, folder, predictions=decided))
    params = layout(runs) | {"confidence": 0.95}
    figures = [folder / "step_ablation.csv", folder / "uncertainty.csv"]
    call(*command_of("tables/published", params, folder, figures=figures))
    return folder


def test_every_row_of_the_paper_is_beside_ours(results: Path) -> None:
    table = pd.read_csv(results / "classification.csv").set_index(["model", "decision", "metric"])
    expected = {
        ("unet", "accuracy"): 84.5,
        ("dit_b4", "f1"): 86.0,
        ("stable_diffusion_finetuned", "accuracy"): 85.0,
        ("stable_diffusion_finetuned", "f1"): 83.9,
        ("stable_diffusion_zero_shot", "accuracy"): 48.8,
        ("stable_diffusion_zero_shot", "f1"): 65.6,
    }
    for (model, metric), value in expected.items():
        row = table.loc[model, "majority", metric]
        assert row["published"] == pytest.approx(value)
        assert row["difference"] == pytest.approx(row["value"] - value)
        assert row["difference_ci_low"] < row["difference"] < row["difference_ci_high"]
        assert row["difference_ci_high"] - row["difference_ci_low"] == pytest.approx(
            row["ci_high"] - row["ci_low"]
        )
    assert table.xs("mean", level="decision")["published"].isna().all()
    text = (results / "classification.md").read_text()
    assert "CheXpert: 2040" in text and "STABLE\\_DIFFUSION\\_ZERO\\_SHOT (majority)" in text


def test_step_ablation_beside_the_published_curve(results: Path) -> None:
    table = pd.read_csv(results / "published.csv")
    steps = table[table["figure"] == "step_ablation"].set_index(["model", "decision", "position"])
    assert set(steps.index.get_level_values("model")) == {"unet", "dit_b4", "stable_diffusion_finetuned"}
    assert len(steps) == 3 * 2 * 9
    row = steps.loc["stable_diffusion_finetuned", "mean", 501]
    ours = is_correct(read_predictions(results / "stable_diffusion_finetuned-mean.csv")).mean()
    assert row["accuracy_percent"] == pytest.approx(100 * ours) and row["published_percent"] == 79.2
    assert row["difference"] == pytest.approx(100 * ours - 79.2)
    np.testing.assert_allclose(
        steps["difference_ci_high"] - steps["difference"],
        steps["ci_high_percent"] - steps["accuracy_percent"],
    )


def test_uncertainty_beside_the_published_curve(results: Path) -> None:
    table = pd.read_csv(results / "published.csv")
    curves = table[table["figure"] == "uncertainty"].set_index(["model", "decision", "position"])
    assert len(curves) == 3 * 9
    row = curves.loc["unet", "majority", 0]
    ours = is_correct(read_predictions(results / "unet-majority.csv")).mean()
    assert row["accuracy_percent"] == pytest.approx(100 * ours) and row["published_percent"] == 83.7
    assert row["difference_ci_low"] < row["difference"] < row["difference_ci_high"]
    text = (results / "published.md").read_text()
    assert text.count("paper (Δ)") == 3 * 2 + 3
    assert (results / "published.tex").read_text().count(r"\begin{table*}") == 2


def test_published_table_needs_the_right_figures(results: Path, tmp_path: Path, caplog) -> None:
    params = layout([run_of("unet", "majority")]) | {"confidence": 0.95}
    files = [results / "uncertainty.csv", results / "step_ablation.csv"]
    assert main(command_of("tables/published", params, tmp_path, figures=files)) == 1
    assert "expected the data of the figure step_ablation" in caplog.text
    assert main(command_of("tables/published", params, tmp_path, figures=files[0])) == 1
    assert "expected step_ablation and uncertainty" in caplog.text
