"""Fit calibrated probabilities on the predictions of a validation split."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--scores", type=Path, required=True, help="predictions CSV of the validation split")
    parser.add_argument(
        "--temperature", action="store_true", help="fit a slope only, not an offset of each class as well"
    )
    parser.add_argument("--out", type=Path, required=True, help="calibration JSON to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    return Files(
        [args.scores], [args.out], ["meddiff.readout.calibrating"], {"temperature": args.temperature}
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.readout.calibrating import calibrate
    from meddiff.readout.calibration_file import write_calibration
    from meddiff.readout.predictions import read_predictions

    table = read_predictions(args.scores)
    write_calibration(args.out, calibrate(table, args.scores, offsets=not args.temperature))
