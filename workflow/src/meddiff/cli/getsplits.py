"""Find a dataset's published split files, check them, and copy them to one place."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files, split_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--dataset", required=True, help="the dataset's name, for messages")
    parser.add_argument("--params", required=True, help="JSON: the dataset's split")
    parser.add_argument("--root", type=Path, required=True, help="the dataset's folder; looked in as well")
    parser.add_argument("--splits-root", type=Path, required=True, help="the folder to look in first")
    parser.add_argument("--url", default="none", help="folder on the web, asked last (default: none)")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for the three copies")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    # The checksums in the configuration decide what the copies are, so nothing else is an input.
    return Files([], split_files(args.out_dir))


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.config.dataset_slices import OfficialParams, parse_slice
    from meddiff.data.obtain.official_splits import collect_official, places_to_look

    split = parse_slice(args.params, OfficialParams).split
    places = places_to_look(args.splits_root, args.root)
    url = None if args.url == "none" else args.url
    collect_official(args.dataset, split, places, url, args.out_dir)
