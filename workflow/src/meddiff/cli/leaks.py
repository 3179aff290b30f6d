"""Find what the splits of a dataset share: images, looks, and groups of a file of the user's."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files, parsed_params, split_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--params", required=True, help="JSON: the dataset's classes, split and leaks")
    parser.add_argument("--table", type=Path, required=True, help="table.csv as `validate` writes it")
    parser.add_argument("--splits-dir", type=Path, required=True, help="folder with the three split tables")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for leaks.csv and shared.csv")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    groups = (parsed_params(args).get("leaks") or {}).get("groups")
    inputs = [args.table, *split_files(args.splits_dir), *([Path(groups["csv"])] if groups else [])]
    outputs = [args.out_dir / "leaks.csv", args.out_dir / "shared.csv"]
    return Files(inputs, outputs, code=["meddiff.data.leaks.report"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.config.dataset_slices import LeaksParams, parse_slice
    from meddiff.data.leaks.report import write_leaks
    from meddiff.data.tables import read_splits

    write_leaks(parse_slice(args.params, LeaksParams), read_splits(args.splits_dir), args.table, args.out_dir)
