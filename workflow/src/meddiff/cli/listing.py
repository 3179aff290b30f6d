"""List the authors' released weights, in Google Drive or in a folder that has them."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder-id", required=True, help="of the authors' folder in Google Drive")
    parser.add_argument("--folder", type=Path, required=True, help="a copy of it, if not that of --files")
    parser.add_argument("--files", type=Path, required=True, help="folder for downloads")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    return Files([], [args.out])


def run(args: argparse.Namespace) -> None:
    from meddiff.weights.released import list_released

    list_released(args.folder_id, None if args.folder == args.files else args.folder, args.out)
