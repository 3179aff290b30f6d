"""Make one released model of the authors available and record its checksums."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument, require
from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_params_argument(parser, "kind (of model) and release (its folder)")
    parser.add_argument("--listing", type=Path, required=True, help="as `listing` writes it")
    parser.add_argument(
        "--folder", type=Path, required=True, help="a copy of the release, if not that of --files"
    )
    parser.add_argument("--files", type=Path, required=True, help="folder for downloads")
    parser.add_argument("--record", type=Path, required=True, help="checksums of the first fetch, kept")
    parser.add_argument("--manifest", type=Path, required=True, help="the JSON file to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    # The files' own checksums decide what the manifest says; the listing only finds them.
    return Files([], [args.manifest])


def run(args: argparse.Namespace) -> None:
    from meddiff.weights.released import fetch_released

    kind, release = require(args.params, "kind", "release")
    folder = None if args.folder == args.files else args.folder
    fetch_released(kind, release, args.listing, folder, args.files, args.record, args.manifest)
