"""Make a dataset's images available and record their checksums."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--dataset", required=True, help="the dataset's name, for messages")
    parser.add_argument("--params", required=True, help="JSON: the dataset's source and format")
    parser.add_argument(
        "--root", type=Path, required=True, help="the folder of the images; a phantom is made there"
    )
    parser.add_argument("--manifest", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--threads", type=int, help="for hashing; default: all CPUs")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.data.fetch import fetch
    from meddiff.data.params import FetchParams, parse_slice

    fetch(args.dataset, parse_slice(args.params, FetchParams), args.root, args.manifest, args.threads)
