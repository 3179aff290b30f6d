"""Add what was fitted on the validation split to the predictions of the test split."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import json_object, parsed
from meddiff.errors import ConfigError
from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--scores", type=Path, required=True, help="predictions CSV before calibration")
    parser.add_argument("--calibration", type=Path, help="calibration JSON; without, none is added")
    parser.add_argument(
        "--params",
        type=json_object,
        default={},
        help="JSON object; prevalence: class -> share, where classes are not as frequent as in validation",
    )
    parser.add_argument("--out", type=Path, required=True, help="predictions CSV to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    calibration = [args.calibration] if args.calibration else []
    return Files([args.scores, *calibration], [args.out], ["meddiff.readout.calibrating"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.config.schema.deciding import DecideParams
    from meddiff.readout.calibrating import with_calibrated
    from meddiff.readout.calibration_file import read_calibration
    from meddiff.readout.predictions import read_predictions, write_predictions

    settings = parsed(DecideParams, args.params, "--params")
    table = read_predictions(args.scores)
    if args.calibration:
        calibration = read_calibration(args.calibration)
        table = with_calibrated(table, calibration, args.calibration, settings.prevalence)
    elif settings.prevalence:
        raise ConfigError("--params prevalence: goes with --calibration, which says what classes there are")
    write_predictions(table, args.out)
