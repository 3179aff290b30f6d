"""The figure of decision curves: whose probabilities, and what is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from artifact_samples import command_of, outputs_of
from evaluate_samples import sample_predictions
from meddiff.artifacts.figures import decision_curve
from meddiff.cli import main
from meddiff.config.schema.figure import FigureStyle
from meddiff.evaluate.net_benefit import ALL, NONE, NetBenefit
from meddiff.readout.predictions import probabilities, write_predictions

PARAMS = {
    "datasets": [{"name": "chest", "title": "Chest", "positive": "effusion"}],
    "models": [
        {"name": "resnet", "title": "ResNet", "family": "cnn"},
        {"name": "unet", "title": "UNet", "family": "diffusion"},
    ],
    "runs": [
        {"dataset": "chest", "model": "resnet", "seed": 0, "decision": "softmax"},
        {"dataset": "chest", "model": "unet", "seed": 0, "votes": 0, "decision": "majority"},
    ],
    "bootstrap_samples": 100,
    "confidence": 0.9,
    "bootstrap_seed": 0,
    "style": {"dpi": 60},
}


@pytest.fixture
def predictions(tmp_path: Path) -> list[pd.DataFrame]:
    """Of both runs, also as files; those of the second are calibrated."""
    tables = [sample_predictions("softmax", images=80), sample_predictions("majority", images=80)]
    p = 0.2 + 0.6 * probabilities(tables[1])[:, 1]
    tables[1] = tables[1].assign(**{"calibrated_class 0": 1 - p, "calibrated_class 1": p})
    for i, table in enumerate(tables):
        write_predictions(table, tmp_path / f"p{i}.csv")
    return tables


def test_curves_are_of_calibrated_probabilities_where_there_are_some(
    tmp_path: Path, predictions: list[pd.DataFrame]
) -> None:
    paths = [tmp_path / "p0.csv", tmp_path / "p1.csv"]
    assert main(command_of("figures/decision_curve", PARAMS, tmp_path, predictions=paths)) == 0
    csv = outputs_of("figures/decision_curve", tmp_path)[0]
    table = pd.read_csv(csv).set_index(["model", "threshold_percent"])
    for model, frame, p in (
        ("resnet", predictions[0], probabilities(predictions[0])[:, 1]),
        ("unet", predictions[1], predictions[1]["calibrated_class 1"]),
    ):
        expected = NetBenefit(p, frame["label"] == 1, [0.3])(np.ones((1, 80))).item()
        assert table.loc[(model, 30), "net_benefit"] == pytest.approx(expected)
    first = [path.read_bytes() for path in outputs_of("figures/decision_curve", tmp_path)]
    assert main(command_of("figures/decision_curve", PARAMS, tmp_path, predictions=paths)) == 0
    assert [path.read_bytes() for path in outputs_of("figures/decision_curve", tmp_path)] == first


def test_models_and_references_are_drawn(tmp_path: Path, predictions: list[pd.DataFrame]) -> None:
    settings = decision_curve.Settings(**PARAMS | {"style": FigureStyle()})
    table = decision_curve.data(settings, {"predictions": [tmp_path / "p0.csv", tmp_path / "p1.csv"]})
    figure = decision_curve.draw(table, settings, {})
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "Chest: effusion" and len(axes.lines) == 4
    drawn = [line.get_ydata() for line in axes.lines]
    for name, found in zip(("resnet", "unet", ALL, NONE), drawn, strict=True):
        np.testing.assert_array_equal(found, table.loc[table["model"] == name, "net_benefit"])
    assert len(axes.collections) == 1  # the band of the diffusion model
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"UNet (majority)", "ResNet", "act on all", "act on none", "90 % interval"} <= set(texts)
    low, high = axes.get_ylim()
    assert low < 0 < max(map(max, drawn)) < high


def test_a_prevalence_is_that_of_the_net_benefit_and_said(
    tmp_path: Path, predictions: list[pd.DataFrame]
) -> None:
    rare = [{**PARAMS["datasets"][0], "prevalence": 0.1}]
    settings = decision_curve.Settings(**PARAMS | {"style": FigureStyle(), "datasets": rare})
    table = decision_curve.data(settings, {"predictions": [tmp_path / "p0.csv", tmp_path / "p1.csv"]})
    everyone = table[table["model"] == ALL].set_index("threshold_percent")["net_benefit"]
    assert everyone[5] == pytest.approx(0.1 - 0.9 * 5 / 95)
    (axes,) = decision_curve.draw(table, settings, {}).axes
    assert axes.get_title(loc="left") == "Chest: effusion (10 %)"
