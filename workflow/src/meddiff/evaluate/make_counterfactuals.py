"""From files to the table and figures of counterfactuals."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from meddiff.artifacts.render import Grid
from meddiff.evaluate import counterfactual_table
from meddiff.evaluate.counterfactual_settings import (
    CounterfactualFigureSettings,
    CounterfactualTableSettings,
    FrontSettings,
)
from meddiff.evaluate.settings import pair_files, parse_params
from meddiff.explaining.examples import read_examples
from meddiff.explaining.metrics import read_metrics
from meddiff.result_csv import read_csv, write_csv

_TEXT = {"image_id": str, "group": str}
_MEASURED = ("group", "role", "front", "qualified", "from_t", "cfg_scale", "valid", "control", "l1")


def make_counterfactual_table(params: str, paths: list[Path]) -> tuple[pd.DataFrame, list[Grid]]:
    """The tidy table and its form for reading.

    Args:
        params: JSON of `CounterfactualTableSettings`.
        paths: metrics files of ``measure``, in the order of ``params.runs``.

    Raises:
        ConfigError: if params or the number of files are wrong.
        DataError: if a file is.
    """
    settings = parse_params(CounterfactualTableSettings, params)
    pairs = pair_files(settings.runs, paths, "--metrics")
    metrics = pd.concat([read_metrics(path, run) for run, path in pairs], ignore_index=True)
    table = counterfactual_table.counterfactual_table(metrics, settings)
    return table, [counterfactual_table.counterfactual_grid(table, settings)]


def make_counterfactual_figure(params: str, paths: list[Path], csv: Path, png: Path, pdf: Path) -> None:
    """Draw the examples of one dataset, and write what is said about them as CSV.

    Args:
        params: JSON of `CounterfactualFigureSettings`.
        paths: examples of ``measure``, in the order of ``params.runs``.
        csv, png, pdf: files to write.

    Raises:
        ConfigError: if params or the number of files are wrong.
        DataError: if a file is.
    """
    # Not above: the table, made by another function here, needs no Matplotlib.
    from meddiff.artifacts.style import save
    from meddiff.evaluate import counterfactual_figure

    settings = parse_params(CounterfactualFigureSettings, params)
    runs = [(run, read_examples(path)) for run, path in pair_files(settings.runs, paths, "--examples")]
    write_csv(counterfactual_figure.example_table(runs), csv)
    save(counterfactual_figure.draw_counterfactuals(runs, settings), png, pdf, settings.style.dpi)


def make_front_figure(params: str, paths: list[Path], csv: Path, png: Path, pdf: Path) -> None:
    """Write the data of the front as CSV, and draw what the CSV says as PNG and PDF.

    Args:
        params: JSON of `FrontSettings`.
        paths: measures of ``measure``, in the order of ``params.runs``.
        csv, png, pdf: files to write.

    Raises:
        ConfigError: if params or the number of files are wrong.
        DataError: if a file is, or there is nothing to draw.
    """
    # Not above: the table, made by another function here, needs no Matplotlib.
    from meddiff.artifacts.style import save
    from meddiff.evaluate import counterfactual_front

    settings = parse_params(FrontSettings, params)
    pairs = pair_files(settings.runs, paths, "--measures")
    data = counterfactual_front.front_data(((run, _read_measures(path)) for run, path in pairs), settings)
    write_csv(data, csv)
    save(counterfactual_front.draw_front(read_csv(csv, dtype=_TEXT), settings), png, pdf, settings.style.dpi)


def _read_measures(path: Path) -> pd.DataFrame:
    return read_csv(path, _MEASURED, "run `measure` again", _TEXT, _MEASURED[2:])
