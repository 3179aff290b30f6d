"""Check a dataset, image by image, and write its canonical table."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import count
from meddiff.records.files import Files, parsed_params, split_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--params", required=True, help="JSON: the dataset's format, classes and split")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.json as `fetch` writes it")
    parser.add_argument("--root", type=Path, required=True, help="the folder of the images")
    parser.add_argument("--official", type=Path, help="folder of `getsplits`, for published splits")
    parser.add_argument("--table", type=Path, required=True, help="the CSV file to write")
    parser.add_argument("--flow", type=Path, required=True, help="JSON to write: rows found and left out")
    parser.add_argument("--threads", type=count(1), help="for decoding; default: all CPUs")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    published = parsed_params(args)["split"]["kind"] == "official"
    official = split_files(args.official) if published else []
    return Files([args.manifest, *official], [args.table, args.flow], code=["meddiff.data.validate"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.config.dataset_slices import ValidateParams, parse_slice
    from meddiff.data.flow import write_flow
    from meddiff.data.obtain.fetch import read_manifest
    from meddiff.data.tables import write_csv
    from meddiff.data.validate import validate_dataset

    dataset = parse_slice(args.params, ValidateParams)
    manifest = read_manifest(args.manifest)
    found = validate_dataset(
        dataset,
        args.root,
        manifest,
        args.threads,
        args.official,
        missing=args.table.with_name("missing.csv"),
    )
    write_csv(found.table, args.table)
    write_flow(found.flow, args.flow)
