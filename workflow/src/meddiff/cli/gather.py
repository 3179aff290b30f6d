"""Join the shards of a scoring run into one errors file, in the order of the split."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files, store_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shards", type=Path, nargs="+", help="errors files of the shards")
    parser.add_argument("--store", type=Path, required=True, help="folder of the image store")
    parser.add_argument("--split", default="test", choices=["train", "valid", "test"])
    parser.add_argument("--out", type=Path, required=True, help="errors file to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [*args.shards, store_manifest(args.store)]
    return Files(inputs, [args.out], ["meddiff.diffusion.error_file"], {"split": args.split})


def run(args: argparse.Namespace) -> None:
    from meddiff.data.store import Store
    from meddiff.diffusion.error_file import gather_errors

    gather_errors(args.shards, Store.open(args.store, args.split, checked=False).image_ids, args.out)
