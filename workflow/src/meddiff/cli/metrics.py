"""Compute all metrics of one predictions table, with bootstrap intervals."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument, parsed
from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--predictions", type=Path, required=True, help="predictions CSV")
    parser.add_argument(
        "--validation",
        type=Path,
        help="predictions CSV of the validation split, on which an operating point is chosen",
    )
    keys = "dataset, model, seed, decision, bootstrap_samples, confidence, bootstrap_seed, operating_point"
    add_params_argument(parser, keys)
    parser.add_argument("--out", type=Path, required=True, help="tidy metrics CSV to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    validation = [args.validation] if args.validation else []
    return Files([args.predictions, *validation], [args.out], ["meddiff.evaluate.summary"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    import logging

    from meddiff.evaluate.summary import MetricsSettings, class_sizes, few_images, summarise
    from meddiff.readout.predictions import read_predictions
    from meddiff.result_csv import write_csv

    settings = parsed(MetricsSettings, args.params, "--params")
    validation = read_predictions(args.validation) if args.validation else None
    table = summarise(read_predictions(args.predictions), settings, validation)
    if few := few_images(class_sizes(table["n_by_class"].iloc[0])):
        logging.getLogger("meddiff").warning(
            "%s: a class has few test images (%s): what is said of it is little more than chance, as the "
            "intervals show; a split with more of them in the test part would say more",
            args.predictions,
            ", ".join(few),
        )
    write_csv(table, args.out)
