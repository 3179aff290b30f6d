"""From files to the table and the figure of efficiency."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from meddiff.artifacts.layout import with_preset
from meddiff.artifacts.render import Grid
from meddiff.errors import ConfigError
from meddiff.evaluate.efficiency import COLUMNS, RunErrors, efficiency
from meddiff.evaluate.efficiency_table import efficiency_grids
from meddiff.evaluate.settings import EfficiencyFigureSettings, EfficiencySettings, pair_files, parse_params
from meddiff.result_csv import read_csv, write_csv

_NUMBERS = COLUMNS[COLUMNS.index("value") :]


def make_efficiency_table(
    params: str, errors: list[Path], validation: list[Path], variants: list[Path]
) -> tuple[pd.DataFrame, list[Grid]]:
    """The tidy table and its forms for reading.

    Args:
        params: JSON of `EfficiencySettings`.
        errors: one errors file a run, in the order of ``params.runs``; of all steps.
        validation: the same of the validation split; empty where ``params.weights`` is false.
        variants: for each run one errors file for each of ``params.variants``.

    Raises:
        ConfigError: if params or the number of files are wrong.
        DataError: if a file is.
    """
    from meddiff.scoring.error_file import load_errors  # not above: the figure needs no xarray

    settings = parse_params(EfficiencySettings, params)
    kinds = settings.variants
    if len(variants) != len(kinds) * len(settings.runs):
        raise ConfigError(
            f"--variants: got {len(variants)} files for {len(settings.runs)} runs; give {len(kinds)} a run"
        )
    if len(validation) != (len(settings.runs) if settings.weights else 0):
        raise ConfigError(
            f"--validation: got {len(validation)} files for {len(settings.runs)} runs; give one a run where "
            "params.weights is true, and none otherwise"
        )

    def load(index: int, path: Path) -> RunErrors:
        own = variants[index * len(kinds) : (index + 1) * len(kinds)]
        return RunErrors(
            load_errors(path),
            load_errors(validation[index]) if validation else None,
            {kind: load_errors(file) for kind, file in zip(kinds, own, strict=True)},
        )

    pairs = enumerate(pair_files(settings.runs, errors, "--errors"))
    table = efficiency(((run, load(index, path)) for index, (run, path) in pairs), settings)
    return table, with_preset(efficiency_grids(table, settings), settings)


def make_efficiency_figure(params: str, table: Path, csv: Path, png: Path, pdf: Path) -> None:
    """Write the data of the figure as CSV, and draw what the CSV says as PNG and PDF.

    Args:
        params: JSON of `EfficiencyFigureSettings`.
        table: the CSV of `make_efficiency_table`.
        csv, png, pdf: files to write.

    Raises:
        ConfigError: if params are wrong.
        DataError: if `table` is no such CSV.
    """
    # Not above: the table, made by the other function here, needs no Matplotlib.
    from meddiff.artifacts.style import save
    from meddiff.evaluate.efficiency_figure import draw_efficiency, efficiency_figure_data

    settings = parse_params(EfficiencyFigureSettings, params)
    write_csv(
        efficiency_figure_data(read_csv(table, COLUMNS, "make the efficiency table again", numbers=_NUMBERS)),
        csv,
    )
    save(draw_efficiency(read_csv(csv), settings), png, pdf, settings.style.dpi)
