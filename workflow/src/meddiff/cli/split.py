"""Make the train, valid and test tables of a dataset, and check that they do not leak."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--params", required=True, help="JSON: the dataset's classes and split")
    parser.add_argument("--table", type=Path, required=True, help="table.csv as `validate` writes it")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for the three CSV files")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.data.params import SplitParams, parse_slice
    from meddiff.data.splits import make_splits, write_splits
    from meddiff.data.tables import read_table_csv

    splits = make_splits(parse_slice(args.params, SplitParams), read_table_csv(args.table))
    write_splits(splits, args.out_dir)
