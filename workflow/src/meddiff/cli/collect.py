"""Collect all metrics of an experiment in one JSON file."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--table", type=Path, required=True, help="the table of all metrics, as CSV")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    return Files([args.table], [args.out], ["meddiff.evaluate.metrics_tree"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.evaluate.metrics_tree import read_metrics_tree
    from meddiff.io import write_json

    write_json(args.out, read_metrics_tree(args.table))
