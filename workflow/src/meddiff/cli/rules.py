"""Judge every decision rule on stored errors: passes, agreement, accuracy, calibration.

The first row is the paper's majority; differences in accuracy are paired with it. Choose a rule by its errors
on the validation split, never by those that it is then tested on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

# Column -> what of the ranking it shows, and how.
_SHOWN = {
    "passes": ("passes", "{passes:,.0f}"),
    "saved": ("saved", "{saved:.0%}"),
    "agreement": ("agreement", "{agreement:.1%}"),
    "accuracy": ("accuracy", "{accuracy:.1%}"),
    "difference": ("difference", "{difference:+.1%} [{ci_low:+.1%}, {ci_high:+.1%}]"),
    "balanced": ("balanced_accuracy", "{balanced_accuracy:.1%}"),
    "AURC": ("aurc", "{aurc:.3f}"),
    "ECE": ("ece", "{ece:.3f}"),
    "NLL": ("nll", "{nll:.3f}"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("errors", type=Path, nargs="+", help="errors files (netCDF)")
    parser.add_argument(
        "--validation",
        type=Path,
        nargs="+",
        help="the validation split's errors, one file for each of ERRORS: for fitted rules and calibration",
    )
    parser.add_argument("--out", type=Path, help="CSV to write")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    import pandas as pd

    from meddiff.evaluate.rules.learned import learned
    from meddiff.evaluate.rules.ranking import rule_ranking
    from meddiff.result_csv import write_csv
    from meddiff.scoring.error_file import load_errors

    validation = args.validation or [None] * len(args.errors)
    if len(validation) != len(args.errors):
        raise ConfigError(
            f"--validation: expected one file for each of {len(args.errors)} ERRORS, in their order, got "
            f"{len(validation)}"
        )
    tables = []
    for path, fit_on in zip(args.errors, validation, strict=True):
        errors, taken = load_errors(path), None
        if fit_on:
            validation_errors = load_errors(fit_on)
            with _naming(fit_on):
                taken = learned(validation_errors, errors)
        with _naming(path):
            table = rule_ranking(errors, taken)
        _print(table, path)
        tables.append(table.assign(errors=str(path)))
    if args.out:
        every = pd.concat(tables, ignore_index=True)
        write_csv(every[["errors", *every.columns.drop("errors")]], args.out)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Says which file it is that a `DataError` is about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _print(table: pd.DataFrame, path: Path) -> None:
    """Tables on a terminal, plain columns elsewhere."""
    from rich.console import Console
    from rich.table import Table

    from meddiff.evaluate.rules.ranking import CALIBRATED

    console = Console()
    if not console.is_terminal:  # as wide as it is: nobody's window folds it
        console = Console(width=1000, no_color=True)
    calibrated = table.columns[table.columns.str.startswith(CALIBRATED)]
    titles = {str(path): table.drop(columns=calibrated)}
    if len(calibrated):
        of_calibrated = table[["rule", *calibrated]].rename(
            columns=lambda name: name.removeprefix(CALIBRATED)
        )
        titles[f"{path}, by calibrated probabilities"] = of_calibrated
    for title, part in titles.items():
        formats = {column: how for column, (source, how) in _SHOWN.items() if source in part}
        shown = Table(box=None, pad_edge=False)
        for column in ["rule", *formats]:
            shown.add_column(column, justify="left" if column == "rule" else "right", no_wrap=True)
        for row in part.to_dict("records"):
            shown.add_row(row["rule"], *(how.format(**row) for how in formats.values()))
        console.print(title, markup=False, highlight=False, soft_wrap=True)
        console.print(shown)
        console.print()
