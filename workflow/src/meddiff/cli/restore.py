"""Restore a published run in a clone of the repository, so that nothing is to be done.

Fetches data, weights, errors and results in this order, compares all of it with its checksums, and takes over
Snakemake's records of the run. Ends with 1 if Snakemake then finds something to do.
"""

from __future__ import annotations

import argparse
import logging

from meddiff.cli.params import add_config_argument
from meddiff.weights.releases import PARTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config_argument(parser)
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, help="leave out the rest, e.g. the data"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files that differ, also where DVC has not seen them"
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.sharing.restore import restore

    restore(args.config, args.only, force=args.force)
    logging.getLogger("meddiff").info("restored: %s. Nothing is to be done.", ", ".join(args.only))
