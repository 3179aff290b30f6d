"""From files to the table and the figure of the audit of shortcuts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from meddiff.artifacts.layout import with_preset
from meddiff.artifacts.render import Grid
from meddiff.data.strata import read_strata
from meddiff.errors import ConfigError
from meddiff.evaluate.audit import COLUMNS, audit, fit_rule
from meddiff.evaluate.audit_table import audit_grids
from meddiff.evaluate.predictions import read_predictions
from meddiff.evaluate.settings import AuditFigureSettings, AuditSettings, pair_files, parse_params
from meddiff.result_csv import read_csv, write_csv

_NUMBERS = ("value", "ci_low", "ci_high", "sd", "seeds", "votes", "n")


def make_audit_table(
    params: str, predictions: list[Path], strata: list[Path]
) -> tuple[pd.DataFrame, list[Grid]]:
    """The tidy table and its forms for reading.

    Args:
        params: JSON of `AuditSettings`.
        predictions: one file a run, in the order of ``params.runs``.
        strata: one file a dataset, in the order of ``params.datasets``.

    Raises:
        ConfigError: if params or the number of files are wrong.
        DataError: if a file is.
    """
    settings = parse_params(AuditSettings, params)
    pairs = pair_files(settings.runs, predictions, "--predictions")
    names = list(settings.dataset_titles())
    if len(strata) != len(names):
        raise ConfigError(f"--strata: got {len(strata)} files for {len(names)} datasets; give one a dataset")
    frames = {name: read_strata(path) for name, path in zip(names, strata, strict=True)}
    table = audit([(run, read_predictions(path)) for run, path in pairs], frames, settings)
    rules = {}
    for name, frame in frames.items():
        entry = settings.audits[name]
        answers = fit_rule(frame, len(entry.classes)).idxmax(axis=1)
        order = dict.fromkeys([*entry.strata, *answers.index])
        rules[name] = {stratum: entry.classes[answers[stratum]] for stratum in order if stratum in answers}
    return table, with_preset(audit_grids(table, rules, settings), settings)


def make_audit_figure(params: str, table: Path, csv: Path, png: Path, pdf: Path) -> None:
    """Write the data of the figure as CSV, and draw what the CSV says as PNG and PDF.

    Args:
        params: JSON of `AuditFigureSettings`.
        table: the CSV of `make_audit_table`.
        csv, png, pdf: files to write.

    Raises:
        DataError: if `table` is no such CSV.
    """
    # Not above: the table, made by the other function here, needs no Matplotlib.
    from meddiff.artifacts.style import save
    from meddiff.evaluate.audit_figure import audit_figure_data, draw_audit

    settings = parse_params(AuditFigureSettings, params)
    write_csv(
        audit_figure_data(read_csv(table, COLUMNS, "make the audit table again", numbers=_NUMBERS)), csv
    )
    save(draw_audit(read_csv(csv), settings), png, pdf, settings.style.dpi)
