"""Count the images and the people of each split, for the table of participants."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files, split_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--params", required=True, help="JSON: the dataset's participants, classes, format")
    parser.add_argument("--splits-dir", type=Path, required=True, help="folder with the three split tables")
    parser.add_argument("--root", type=Path, required=True, help="folder of the dataset's images")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest that `fetch` wrote")
    parser.add_argument("--out", type=Path, required=True, help="CSV to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [args.manifest, *split_files(args.splits_dir)]
    return Files(inputs, [args.out], code=["meddiff.data.participants"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.config.dataset_slices import DescribeParams, parse_slice
    from meddiff.data.obtain.fetch import read_manifest
    from meddiff.data.participants import describe
    from meddiff.data.tables import read_splits, write_csv

    settings = parse_slice(args.params, DescribeParams)
    splits, manifest = read_splits(args.splits_dir), read_manifest(args.manifest)
    write_csv(describe(settings, splits, args.root, manifest), args.out)
