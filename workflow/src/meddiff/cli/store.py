"""Decode and resize every image once into memory-mapped arrays."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--params", required=True, help="JSON: the dataset's classes and channels")
    parser.add_argument("--size", type=int, required=True, help="side of the stored images in pixels")
    parser.add_argument("--splits-dir", type=Path, required=True, help="folder with the three split tables")
    parser.add_argument("--root", type=Path, required=True, help="the folder of the images")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder of the store")
    parser.add_argument("--threads", type=int, help="default: all CPUs")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.data.params import StoreParams, parse_slice
    from meddiff.data.store import build_store

    dataset = parse_slice(args.params, StoreParams)
    build_store(
        splits_dir=args.splits_dir,
        root=args.root,
        out_dir=args.out_dir,
        size=args.size,
        channels=dataset.channels,
        class_names=[entry.name for entry in dataset.classes],
        threads=args.threads,
    )
