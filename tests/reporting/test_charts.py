"""Charts have the numbers of the figures, and say what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from meddiff.reporting.charts.figures import CHARTS
from meddiff.reporting.charts.lines import COLOR, HIGH, LOW, PANEL, Scales, Words, X, Y, drawn, library, lines
from report_samples import BASELINE, DATASET, DIFFUSION, sample

STEPS = ["steps", "accuracy_percent", "ci_low_percent", "ci_high_percent"]


def marks(spec: dict[str, Any]) -> list[str]:
    return [layer["mark"]["type"] for layer in spec["spec"]["layer"]]


def test_the_step_ablation_has_every_point_and_bands_of_the_majority(tmp_path: Path) -> None:
    rows = [
        {"dataset": DATASET, "model": DIFFUSION, "decision": decision, "source": source}
        | dict(zip(STEPS, numbers, strict=True))
        for decision, source, numbers in (
            ("majority", "ours", (1, 60.0, 50.0, 70.0)),
            ("majority", "ours", (51, 90.0, 83.0, 95.0)),
            ("mean", "ours", (1, 62.0, 52.0, 72.0)),
            ("mean", "ours", (51, 91.0, 84.0, 96.0)),
            ("majority", "published", (51, 88.0, float("nan"), float("nan"))),
        )
    ]
    given = sample(tmp_path, {"figures/step_ablation": rows})
    spec = CHARTS["step_ablation"](given.figures[0].table, given.settings)
    values = spec["data"]["values"]
    assert [(v[X], v[Y], v.get(LOW), v.get(HIGH)) for v in values] == [
        tuple(None if row[name] != row[name] else row[name] for name in STEPS) for row in rows
    ]
    assert [v["band"] for v in values] == [True, True, False, False, True]
    assert {(v[PANEL], v[COLOR]) for v in values} == {("Chest", "UNet")}
    assert marks(spec) == ["area", "line", "point", "point"]
    assert spec["usermeta"] == {"facets": 1}
    json.dumps(spec, allow_nan=False)


def test_uncertain_and_empty_figures(tmp_path: Path) -> None:
    none = {"ci_low_percent": "nan", "ci_high_percent": "nan"}
    row = {"dataset": DATASET, "source": "ours", "removed_percent": 0, "accuracy_percent": float("nan")}
    rows = [{**row, "model": BASELINE, "decision": "softmax", **none}]
    given = sample(tmp_path, {"figures/uncertainty": rows})
    assert CHARTS["uncertainty"](given.figures[0].table, given.settings) is None


@pytest.mark.parametrize("log", [True, False])
def test_a_logarithmic_axis_needs_positive_values(log: bool) -> None:
    table = pd.DataFrame({PANEL: "a", X: [0.0, 1.0], Y: [1.0, 2.0], COLOR: "b"})
    spec = lines(table, Words("x", "y"), Scales({"b": "#000000"}, log_x=log, log_y=log))
    channels = spec["spec"]["layer"][0]["encoding"]
    assert channels["x"]["scale"].get("type") is None
    assert channels["y"]["scale"].get("type") == ("log" if log else None)


@pytest.mark.slow
def test_charts_are_drawn_without_a_browser() -> None:
    table = pd.DataFrame({PANEL: "<b>a</b>", X: [0.0, 1.0], Y: [1.0, 2.0], COLOR: "<script>"})
    spec = lines(table, Words("x", "y"), Scales({"<script>": "#000000"}))
    svg = drawn(spec)
    assert svg.startswith("<svg") and "<script>" not in svg
    assert "vegaEmbed" in library()
