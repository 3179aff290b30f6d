"""Efficiency: replayed procedures are what scoring with them gives, and what table and figure say of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from evaluate_samples import sample_errors

from meddiff.cli import main
from meddiff.config.experiment import FigureStyle, StoppingConfig
from meddiff.diffusion import vote
from meddiff.diffusion.error_file import save_errors
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.errors import DataError
from meddiff.evaluate import efficiency as efficiencies
from meddiff.evaluate.efficiency import EXACT, FIRST, SEQUENTIAL, Procedure, efficiency, procedures, replay
from meddiff.evaluate.efficiency_figure import draw_efficiency, efficiency_figure_data
from meddiff.evaluate.efficiency_table import efficiency_grids
from meddiff.evaluate.metrics import point_metrics
from meddiff.evaluate.predictions import from_errors, probabilities
from meddiff.evaluate.render import to_latex, to_markdown
from meddiff.evaluate.settings import EfficiencyFigureSettings, EfficiencySettings

STEPS = 61
DELTAS = [0.2, 0.01]


def settings_of(seeds: int = 1, datasets: int = 1, **changes) -> EfficiencySettings:
    names = [f"data{i}" for i in range(datasets)]
    document = {
        "datasets": [{"name": name, "title": f"Data set {name}"} for name in names],
        "models": [{"name": "unet", "title": "UNet", "family": "diffusion"}],
        "runs": [{"dataset": d, "model": "unet", "seed": seed} for d in names for seed in range(seeds)],
        "bootstrap_samples": 200,
        "confidence": 0.9,
        "bootstrap_seed": 0,
        "steps": [1, 5, 25, 501],
        "deltas": DELTAS,
    }
    return EfficiencySettings.model_validate({**document, **changes})


def table_of(*errors: xr.Dataset, **changes) -> pd.DataFrame:
    settings = settings_of(seeds=len(errors), **changes)
    return efficiency(zip(settings.runs, errors, strict=True), settings)


def cell(
    table: pd.DataFrame, decision: str, rule: str, metric: str, setting: float | None = None
) -> pd.Series:
    rows = table[(table["decision"] == decision) & (table["rule"] == rule) & (table["metric"] == metric)]
    rows = rows if setting is None else rows[rows["setting"] == setting]
    assert len(rows) == 1
    return rows.iloc[0]


def stopped(dataset: xr.Dataset, config: StoppingConfig) -> xr.Dataset:
    """The errors file that scoring with `config` writes."""
    errors = dataset["errors"].values
    rule = make_rule(config, *errors.shape[1:])
    return dataset.assign(errors=(dataset["errors"].dims, cut(errors, stopping_steps(errors, rule))))


def test_procedures_are_those_below_the_full_run_and_the_full_run() -> None:
    found = procedures(STEPS, settings_of())
    numbers = [p.setting for p in found if p.rule == FIRST and p.decision == "majority"]
    assert numbers == [1, 5, 25, STEPS]
    assert [p.setting for p in found if p.rule == SEQUENTIAL and p.decision == "mean"] == [0.01, 0.2]
    assert [p.decision for p in found if p.rule == EXACT] == ["majority"]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("decision", ["majority", "mean"])
def test_a_replayed_rule_is_what_scoring_with_it_gives(classes, decision, monkeypatch) -> None:
    monkeypatch.setattr(efficiencies, "_BLOCK_ELEMENTS", 7 * STEPS * classes)  # several blocks
    dataset = sample_errors(steps=STEPS, classes=classes)
    configs = [StoppingConfig(kind="sequential", decision=decision, delta=0.2)]
    configs += [StoppingConfig(kind="exact")] * (decision == "majority")
    for config in configs:
        setting = np.nan if config.delta is None else config.delta
        (got,) = replay(dataset["errors"].values, [Procedure(decision, config.kind, setting)])
        expected = from_errors(stopped(dataset, config), decision)
        assert expected["steps_used"].min() < STEPS
        np.testing.assert_array_equal(got.steps, expected["steps_used"])
        np.testing.assert_array_equal(got.prediction, expected["prediction"])
        p = probabilities(expected)[np.arange(len(expected)), expected["prediction"]]
        np.testing.assert_allclose(got.confidence, p)
        kind = "vote_entropy" if decision == "majority" else "softmax_entropy"
        np.testing.assert_allclose(got.uncertainty, expected[f"uncertainty_{kind}"], atol=1e-12)


def test_first_steps_are_a_run_of_so_many_steps() -> None:
    dataset = sample_errors(steps=STEPS)
    expected = from_errors(dataset.isel(step=slice(5)), "majority")
    (got,) = replay(dataset["errors"].values, [Procedure("majority", FIRST, 5)])
    assert (got.steps == 5).all()
    np.testing.assert_array_equal(got.prediction, expected["prediction"])
    np.testing.assert_array_equal(got.uncertainty, expected["uncertainty_vote_entropy"])


@pytest.mark.parametrize("config", [None, StoppingConfig(kind="sequential", delta=0.2)])
def test_values_are_those_of_the_metrics(config) -> None:
    dataset = sample_errors(steps=STEPS)
    table = table_of(dataset)
    expected = from_errors(stopped(dataset, config) if config else dataset, "majority")
    values = point_metrics(expected, vote_shares=True)
    rule = (SEQUENTIAL, 0.2) if config else (FIRST, STEPS)
    for metric, name in (("accuracy", "accuracy"), ("aurc", "aurc_vote_entropy"), ("ece", "ece")):
        assert cell(table, "majority", rule[0], metric, rule[1])["value"] == pytest.approx(values[name])
    agrees = expected["prediction"] == vote.majority(dataset["errors"].values)
    assert cell(table, "majority", rule[0], "agreement", rule[1])["value"] == pytest.approx(agrees.mean())


def test_exact_is_the_full_run_and_differences_are_paired() -> None:
    table = table_of(sample_errors(steps=STEPS, skill=0.1))
    for metric, value in (("accuracy", 0.0), ("agreement", 0.0)):
        row = cell(table, "majority", EXACT, metric)
        assert row[["difference", "difference_ci_low", "difference_ci_high"]].tolist() == [value] * 3
    row = cell(table, "majority", EXACT, "accuracy")
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert STEPS / 2 < row["steps_ci_low"] < row["steps"] < row["steps_ci_high"] < STEPS
    assert row["passes"] == pytest.approx(2 * row["steps"])
    full = table[(table["rule"] == FIRST) & (table["setting"] == STEPS)]
    assert (full["difference"] == 0).all() and (full["steps"] == STEPS).all()
    assert (full.loc[full["metric"] == "agreement", "value"] == 1).all()


def test_smaller_delta_takes_more_steps_and_all_take_fewer_than_exact() -> None:
    table = table_of(sample_errors(steps=STEPS))
    steps = [cell(table, "majority", SEQUENTIAL, "ece", delta)["steps"] for delta in (0.2, 0.01)]
    assert steps[0] < steps[1] < cell(table, "majority", EXACT, "ece")["steps"]


def test_mean_over_seeds_and_groups() -> None:
    seeds = [sample_errors(steps=STEPS, seed=seed, per_group=3) for seed in (0, 1)]
    table = table_of(*seeds)
    single = [table_of(seed) for seed in seeds]
    for metric in efficiencies.METRICS:
        values = [cell(one, "mean", FIRST, metric, 5)["value"] for one in single]
        row = cell(table, "mean", FIRST, metric, 5)
        assert row["value"] == pytest.approx(np.mean(values))
        assert row["seeds"] == 2 and row["images"] == 60
    alone = table_of(sample_errors(steps=STEPS, per_group=1))
    grouped = single[0]
    widths = [t["ci_high"].sub(t["ci_low"])[t["metric"] == "accuracy"].mean() for t in (alone, grouped)]
    assert widths[0] != widths[1]


def test_order_of_images_does_not_matter() -> None:
    dataset = sample_errors(steps=STEPS)
    pd.testing.assert_frame_equal(table_of(dataset.isel(image=slice(None, None, -1))), table_of(dataset))


def test_errors_of_stopped_runs_are_refused() -> None:
    dataset = stopped(sample_errors(steps=STEPS), StoppingConfig(kind="exact"))
    with pytest.raises(DataError, match=r"efficiency of unet on data0.*not of all steps.*kind: none"):
        table_of(dataset)


def test_seeds_must_have_the_same_images_and_steps() -> None:
    with pytest.raises(DataError, match="different images"):
        table_of(sample_errors(steps=STEPS), sample_errors(steps=STEPS).isel(image=slice(30)))
    with pytest.raises(DataError, match="differ in steps"):
        table_of(sample_errors(steps=STEPS), sample_errors(steps=STEPS - 2))


def test_grid_names_procedures_and_shows_paired_differences() -> None:
    settings = settings_of()
    (grid,) = efficiency_grids(table_of(sample_errors(steps=STEPS)), settings)
    assert [block.title for block in grid.blocks] == ["UNet (majority)", "UNet (mean error)"]
    names = [row[0].value for row in grid.blocks[0].rows]
    expected = ["first 1", "first 5", "first 25", f"all {STEPS} steps", "exact"]
    assert names == [*expected, "sequential, δ = 0.01", "sequential, δ = 0.2"]
    exact = grid.blocks[0].rows[4]
    assert exact[3].detail == "(0.0 [0.0, 0.0])" and exact[4].value == "100.0"
    assert float(exact[2].value.rstrip("×")) == pytest.approx(STEPS / float(exact[1].value), abs=0.1)
    text = to_markdown(grid)
    assert "90 % bootstrap intervals" in text and "exact" in text
    latex = to_latex(grid)
    assert r"$\delta$ = 0.2" in latex and r"$\times$" in latex and "δ" not in latex and "×" not in latex


def test_figure_shows_every_procedure_by_majority() -> None:
    settings = settings_of(datasets=2)
    table = efficiency(
        zip(settings.runs, [sample_errors(steps=STEPS), sample_errors(steps=STEPS, seed=5)], strict=True),
        settings,
    )
    data = efficiency_figure_data(table)
    assert len(data) == 2 * 3 * 7
    assert (data.loc[data["metric"] == "agreement", "value"].max()) == 100
    style = FigureStyle(width=9.0, height=2.6)
    shown = EfficiencyFigureSettings(
        datasets=settings.datasets, models=settings.models, runs=settings.runs, confidence=0.9, style=style
    )
    figure = draw_efficiency(data, shown)
    assert len(figure.axes) == 6
    for axes in figure.axes:
        first, sequential, exact = axes.lines
        assert [len(each.get_xdata()) for each in (first, sequential, exact)] == [4, 2, 1]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"UNet", "sequential stopping", "exact stopping", "90 % interval"} <= set(labels)


def test_commands_write_table_and_figure(tmp_path: Path, caplog) -> None:
    settings = settings_of()
    save_errors(sample_errors(steps=STEPS), tmp_path / "errors.nc")
    params = settings.model_dump_json()
    outputs = [f"--out-{suffix}={tmp_path / ('table.' + suffix)}" for suffix in ("csv", "md", "tex")]
    table = ["table", "--kind", "efficiency", "--params", params, "--errors", str(tmp_path / "errors.nc")]
    assert main([*table, *outputs]) == 0
    layout = settings.model_dump(include={"datasets", "models", "runs", "confidence"})
    drawn = [f"--out-{suffix}={tmp_path / ('figure.' + suffix)}" for suffix in ("csv", "png", "pdf")]
    figure = ["figure", "--kind", "efficiency", "--params", json.dumps(layout)]
    assert main([*figure, "--table", str(tmp_path / "table.csv"), *drawn]) == 0
    first = [path.read_bytes() for path in sorted(tmp_path.glob("figure.*"))]
    assert main([*figure, "--table", str(tmp_path / "table.csv"), *drawn]) == 0
    assert [path.read_bytes() for path in sorted(tmp_path.glob("figure.*"))] == first
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert main([*figure, "--table", str(tmp_path / "other.csv"), *drawn]) == 1
    assert "make the efficiency table again" in caplog.text
