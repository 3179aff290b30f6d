"""Make a dataset's images available and record their checksums."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import count
from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--dataset", required=True, help="the dataset's name, for messages")
    parser.add_argument("--params", required=True, help="JSON: the dataset's source and format")
    parser.add_argument(
        "--root", type=Path, required=True, help="the folder of the images; a phantom is made there"
    )
    parser.add_argument(
        "--packages",
        type=Path,
        help="folder for downloads (default: data/packages); nothing is downloaded for a root elsewhere",
    )
    parser.add_argument("--manifest", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--threads", type=count(1), help="for hashing; default: all CPUs")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    return Files([], [args.manifest], code=["meddiff.data.obtain.fetch"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.config.data_places import PACKAGES
    from meddiff.config.dataset_slices import FetchParams, parse_slice
    from meddiff.config.schema.data.source import PackageSource
    from meddiff.data.obtain.fetch import fetch
    from meddiff.data.obtain.listing import seen_path

    dataset = parse_slice(args.params, FetchParams)
    source, packages = dataset.source, args.packages or Path(PACKAGES)
    if isinstance(source, PackageSource) and args.root == packages / source.file_id / source.folder:
        from meddiff.data.obtain.package import prepare

        prepare(args.dataset, source, packages)
    fetch(args.dataset, dataset, args.root, args.manifest, args.threads, seen_path(args.dataset))
