"""Turn the noise-prediction errors of a diffusion classifier into a table of predictions."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--errors", type=Path, required=True, help="errors file (netCDF)")
    parser.add_argument(
        "--decision", required=True, help="decision rule: majority, mean, t_score, or another of the registry"
    )
    parser.add_argument("--out", type=Path, required=True, help="predictions CSV to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    code = ["meddiff.readout.from_errors", "meddiff.scoring.error_file"]
    return Files([args.errors], [args.out], code, {"decision": args.decision})


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.readout.from_errors import from_errors
    from meddiff.readout.predictions import write_predictions
    from meddiff.scoring.error_file import load_errors

    write_predictions(from_errors(load_errors(args.errors), args.decision), args.out)
