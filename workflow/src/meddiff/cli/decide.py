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
        help="JSON object; prevalence: class -> share, where classes are not as frequent as in validation; "
        "triage: what is promised of images that are decided (ppv, npv, coverage, confidence)",
    )
    unlike = parser.add_argument_group("how unlike the training data images are; without, it is not said")
    unlike.add_argument("--profile", type=Path, help="error profile JSON; goes with --errors")
    unlike.add_argument("--errors", type=Path, help="errors file of the images")
    unlike.add_argument("--validation", type=Path, help="of a baseline: predictions CSV of validation images")
    parser.add_argument("--out", type=Path, required=True, help="predictions CSV to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    fitted = (args.calibration, args.profile, args.errors, args.validation)
    inputs = [args.scores, *(path for path in fitted if path)]
    code = ["meddiff.readout.calibrating", "meddiff.readout.ood", "meddiff.scoring.error_file"]
    return Files(inputs, [args.out], code)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.config.schema.deciding import DecideParams
    from meddiff.readout.calibrating import with_calibrated, with_triage
    from meddiff.readout.calibration_file import read_calibration
    from meddiff.readout.ood import limits, logit_scores, profile_scores, read_profile, with_ood
    from meddiff.readout.predictions import read_predictions, write_predictions

    settings = parsed(DecideParams, args.params, "--params")
    table = read_predictions(args.scores)
    if args.calibration:
        calibration = read_calibration(args.calibration)
        table = with_calibrated(table, calibration, args.calibration, settings.prevalence)
        if settings.triage:
            table = with_triage(table, calibration, settings.triage.model_dump(), settings.prevalence)
    elif given := sorted(settings.model_dump(exclude_none=True)):
        raise ConfigError(
            f"--params {given[0]}: goes with --calibration, which is fitted on validation images"
        )
    if args.profile:
        from meddiff.scoring.error_file import load_errors

        profile, quantiles = read_profile(args.profile)
        table = with_ood(table, profile_scores(profile, load_errors(args.errors)), quantiles)
    elif args.validation:
        quantiles = limits(logit_scores(read_predictions(args.validation)))
        table = with_ood(table, logit_scores(table), quantiles)
    write_predictions(table, args.out)
