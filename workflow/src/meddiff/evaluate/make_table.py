"""From files to a table: what the command ``table`` does."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from meddiff.artifacts.layout import in_layout_order, with_preset
from meddiff.artifacts.render import Grid
from meddiff.artifacts.settings import DecidedLayout
from meddiff.errors import ConfigError
from meddiff.evaluate import comparison, published, tables
from meddiff.evaluate.predictions import read_predictions
from meddiff.evaluate.settings import (
    ClassificationSettings,
    ComparisonSettings,
    CurvesSettings,
    OverviewSettings,
    pair_files,
    parse_params,
)
from meddiff.evaluate.summary import read_metrics


def make_table(kind: str, params: str, paths: list[Path]) -> tuple[pd.DataFrame, list[Grid]]:
    """The tidy table and its forms for reading.

    Args:
        kind: ``classification`` or ``metrics`` (from metrics files), ``comparison`` (from predictions),
            ``published`` (from the data of the figures step_ablation and uncertainty).
        params: JSON of the kind's settings (`meddiff.evaluate.settings`).
        paths: one file a run, in the order of ``params.runs``; for ``published`` one a figure.

    Raises:
        ConfigError: if params or the number of files are wrong.
        DataError: if a file is.
    """
    if kind == "comparison":
        settings = parse_params(ComparisonSettings, params)
        pairs = pair_files(settings.runs, paths, "--predictions")
        table = comparison.compare([(run, read_predictions(path)) for run, path in pairs], settings)
        return table, with_preset([comparison.comparison_grid(table, settings)], settings)
    if kind == "classification":
        settings = parse_params(ClassificationSettings, params)
        table = tables.classification(_metrics(settings, paths), settings)
        beside = bool(table["published"].notna().any())
        grids = [tables.classification_grid(table, settings)]
        return table, with_preset(grids, settings, beside_published=beside)
    if kind == "metrics":
        settings = parse_params(OverviewSettings, params)
        table = in_layout_order(_metrics(settings, paths), settings)
        return table, with_preset([tables.overview_grid(table, settings)], settings)
    if kind == "published":
        settings = parse_params(CurvesSettings, params)
        if len(paths) != len(published.POSITIONS):
            raise ConfigError(
                f"--figures: got {len(paths)} files; expected {' and '.join(published.POSITIONS)}"
            )
        data = {
            f: published.read_figure_data(path, f) for f, path in zip(published.POSITIONS, paths, strict=True)
        }
        table = published.compare_curves(data)
        return table, published.curve_grids(table, settings)
    raise ValueError(f"unknown kind of table {kind!r}")


def _metrics(settings: DecidedLayout, paths: list[Path]) -> pd.DataFrame:
    pairs = pair_files(settings.runs, paths, "--metrics")
    return pd.concat([read_metrics(path, run) for run, path in pairs], ignore_index=True)
