"""Find the stratum of every image, as the ``audit:`` of the dataset's file says."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files, split_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--params", required=True, help="JSON: the dataset's audit and format")
    parser.add_argument("--splits-dir", type=Path, required=True, help="folder with the three split tables")
    parser.add_argument("--root", type=Path, required=True, help="folder of the dataset's images")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest that `fetch` wrote")
    parser.add_argument("--out", type=Path, required=True, help="strata CSV to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    return Files([args.manifest, *split_files(args.splits_dir)], [args.out], code=["meddiff.data.strata"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.config.dataset_slices import StratifyParams, parse_slice
    from meddiff.data.obtain.fetch import read_manifest
    from meddiff.data.strata import stratify
    from meddiff.data.tables import read_splits, write_csv

    settings = parse_slice(args.params, StratifyParams)
    splits, manifest = read_splits(args.splits_dir), read_manifest(args.manifest)
    write_csv(stratify(settings, splits, args.root, manifest), args.out)
