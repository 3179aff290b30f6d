"""Fit the error profile of a validation split, from which images unlike the training data are told."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--errors", type=Path, required=True, help="errors file of the validation split")
    parser.add_argument("--out", type=Path, required=True, help="profile JSON to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    return Files([args.errors], [args.out], ["meddiff.readout.ood", "meddiff.scoring.error_file"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.readout.ood import fit_profile, write_profile
    from meddiff.scoring.error_file import load_errors

    write_profile(args.out, *fit_profile(load_errors(args.errors), args.errors))
