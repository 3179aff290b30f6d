"""From files to a figure: what the command ``figure`` does."""

from __future__ import annotations

from pathlib import Path

from meddiff.artifacts.style import save
from meddiff.evaluate import figure_data, figures
from meddiff.evaluate.predictions import read_predictions
from meddiff.evaluate.settings import StepAblationSettings, UncertaintySettings, pair_files, parse_params
from meddiff.result_csv import read_csv, write_csv


def make_figure(kind: str, params: str, paths: list[Path], csv: Path, png: Path, pdf: Path) -> None:
    """Write the data of a figure as CSV, and draw what the CSV says as PNG and PDF.

    Args:
        kind: ``step_ablation`` (from errors files) or ``uncertainty`` (from predictions).
        params: JSON of the kind's settings (`meddiff.evaluate.settings`).
        paths: one file a run, in the order of ``params.runs``.
        csv, png, pdf: files to write.

    Raises:
        ConfigError: if params or the number of files are wrong.
        DataError: if a file is.
    """
    if kind == "step_ablation":
        from meddiff.scoring.error_file import load_errors  # not above: the other kind needs no xarray

        settings = parse_params(StepAblationSettings, params)
        pairs = pair_files(settings.runs, paths, "--errors")
        table = figure_data.step_ablation(((run, load_errors(path)) for run, path in pairs), settings)
        draw = figures.draw_step_ablation
    elif kind == "uncertainty":
        settings = parse_params(UncertaintySettings, params)
        pairs = pair_files(settings.runs, paths, "--predictions")
        table = figure_data.removal_curves(((run, read_predictions(path)) for run, path in pairs), settings)
        draw = figures.draw_uncertainty
    else:
        raise ValueError(f"unknown kind of figure {kind!r}")
    write_csv(table, csv)
    save(draw(read_csv(csv), settings), png, pdf, settings.style.dpi)
