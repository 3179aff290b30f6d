"""What fewer steps cost: what the table and the figure show of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from artifact_samples import command_of, outputs_of
from efficiency_samples import DELTAS, NUMBERS, RESAMPLING, STEPS, table_of, with_signal_at_some_levels
from error_samples import save_errors
from evaluate_samples import sample_errors
from meddiff.artifacts.figures import efficiency as figure_module
from meddiff.artifacts.render import to_latex, to_markdown
from meddiff.artifacts.tables.efficiency import Settings, grids_of
from meddiff.cli import main
from meddiff.evaluate.efficiency import RunErrors


def layout_of(datasets: int = 1) -> dict[str, Any]:
    names = [f"data{i}" for i in range(datasets)]
    return {
        "datasets": [{"name": name, "title": f"Data set {name}"} for name in names],
        "models": [{"name": "unet", "title": "UNet", "family": "diffusion"}],
        "runs": [{"dataset": name, "model": "unet", "seed": 0} for name in names],
    }


def settings_of() -> Settings:
    return Settings(**layout_of(), **RESAMPLING.model_dump(), steps=NUMBERS, deltas=DELTAS)


def figure_settings(datasets: int = 1) -> figure_module.Settings:
    style = {"width": 9.0, "height": 2.6}
    return figure_module.Settings(**layout_of(datasets), confidence=0.9, style=style)


def test_weighted_decisions_have_blocks_of_their_own() -> None:
    table = table_of(RunErrors(with_signal_at_some_levels(0, "test"), with_signal_at_some_levels(1, "valid")))
    (grid,) = grids_of(table, settings_of())
    assert [block.title for block in grid.blocks] == [
        "UNet (majority)",
        "UNet (weighted votes)",
        "UNet (mean error)",
        "UNet (weighted errors)",
    ]
    assert "fitted on the validation split" in grid.caption
    assert "(" in grid.blocks[1].rows[-1][3].detail  # its last row differs from the plain full run


def test_other_noise_levels_are_shown_beside() -> None:
    test = sample_errors(steps=STEPS)
    other = sample_errors(steps=STEPS, seed=3).assign(image=test["image"], label=test["label"])
    run = RunErrors(test, variants={"low_discrepancy": other})
    table = table_of(run)
    (grid,) = grids_of(table, settings_of())
    names = [line[0].value for line in grid.blocks[0].rows]
    assert "first 5, low discrepancy" in names and f"all {STEPS} steps, low discrepancy" in names
    data = figure_module.by_votes(table)
    assert set(data["further"]) == {"", "low_discrepancy"}
    figure = figure_module.draw(data, figure_settings(), {})
    assert len(figure.axes[0].lines) == 5
    assert "low-discrepancy levels" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_grid_names_procedures_and_shows_paired_differences() -> None:
    settings = settings_of()
    (grid,) = grids_of(table_of(sample_errors(steps=STEPS)), settings)
    assert [block.title for block in grid.blocks] == ["UNet (majority)", "UNet (mean error)"]
    names = [row[0].value for row in grid.blocks[0].rows]
    expected = ["first 1", "first 5", "first 25", f"all {STEPS} steps", "exact"]
    drawn = ["sequential, δ = 0.01", "sequential, δ = 0.2"]
    assert names == [*expected, *drawn, *(name.replace(",", ", spread order,") for name in drawn)]
    exact = grid.blocks[0].rows[4]
    assert exact[3].detail == "(0.0 [0.0, 0.0])" and exact[4].value == "100.0"
    assert float(exact[2].value.rstrip("×")) == pytest.approx(STEPS / float(exact[1].value), abs=0.1)
    text = to_markdown(grid)
    assert "90 % confidence intervals" in text and "exact" in text
    latex = to_latex(grid)
    assert r"$\delta$ = 0.2" in latex and r"$\times$" in latex and "δ" not in latex and "×" not in latex


def test_the_caption_promises_delta_only_where_it_holds() -> None:
    """By majority and in the order drawn; in spread order and by mean error it did, and it is no bound."""
    table = table_of(sample_errors(steps=STEPS))

    def caption(part: pd.DataFrame) -> str:
        return grids_of(part, settings_of())[0].caption

    promise, warning = "with a probability of at most δ", "δ is no bound"
    drawn, mean = table["rule"] != "sequential_spread", table["decision"] == "mean"
    assert promise in caption(table) and "in spread order nor by mean error" in caption(table)
    assert promise in caption(table[drawn & ~mean]) and warning not in caption(table[drawn & ~mean])
    assert promise not in caption(table[mean]) and "by mean error" in caption(table[mean])
    spread = table[~mean & (table["rule"] != "sequential")]
    assert promise not in caption(spread) and f"{warning} in spread order:" in caption(spread)
    dependent = table[drawn & ~mean].assign(levels="low_discrepancy")
    assert promise not in caption(dependent) and "not independent draws" in caption(dependent)
    first = table[table["rule"] == "first"]
    assert "Sequential" not in caption(first) and "Exact" not in caption(first)


def test_figure_shows_every_procedure_by_majority() -> None:
    table = table_of(*(sample_errors(steps=STEPS, seed=seed) for seed in (0, 5)), datasets=2)
    data = figure_module.by_votes(table)
    assert len(data) == 2 * 3 * 9
    assert (data.loc[data["metric"] == "agreement", "value"].max()) == 100
    figure = figure_module.draw(data, figure_settings(2), {})
    assert len(figure.axes) == 6
    for axes in figure.axes:
        first, sequential, spread, exact = axes.lines
        assert [len(each.get_xdata()) for each in (first, sequential, spread, exact)] == [4, 2, 2, 1]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {
        "UNet",
        "sequential stopping",
        "sequential, steps in spread order",
        "exact stopping",
        "90 % interval",
    } <= set(labels)


def test_commands_write_table_and_figure(tmp_path: Path, caplog) -> None:
    settings = settings_of()
    save_errors(sample_errors(steps=STEPS), tmp_path / "errors.nc")
    source, figures = tmp_path / "errors.nc", tmp_path / "figures"
    table = outputs_of("tables/efficiency", tmp_path)

    def make(settings: Settings, **files: Path) -> int:
        files = {"validation": [], "variants": [], **files}
        return main(command_of("tables/efficiency", settings.model_dump(), tmp_path, **files))

    def draw(file: Path) -> int:
        return main(command_of("figures/efficiency", figure_settings().model_dump(), figures, table=file))

    assert make(settings, errors=source) == 0
    assert draw(table[0]) == 0
    first = [path.read_bytes() for path in outputs_of("figures/efficiency", figures)]
    assert draw(table[0]) == 0
    assert [path.read_bytes() for path in outputs_of("figures/efficiency", figures)] == first
    assert (figures / "efficiency.pdf").read_bytes().startswith(b"%PDF")
    assert make(settings, errors=source, validation=source) == 1
    assert "--input validation: got 1 files for 1 runs; give 0 a run" in caplog.text
    assert make(settings, errors=source, variants=source) == 1
    assert "--input variants: got 1 files for 1 runs; give 0 a run" in caplog.text
    more = settings.model_copy(update={"weights": True, "variants": ["antithetic"]})
    assert make(more, errors=source, validation=source, variants=source) == 0
    assert "weighted votes" in table[1].read_text()
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert draw(tmp_path / "other.csv") == 1
    assert "make the efficiency table again" in caplog.text
