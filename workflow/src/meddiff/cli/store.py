"""Decode and resize every image once into memory-mapped arrays."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import count
from meddiff.records.files import Files, raw_manifest, split_files, store_outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--params", required=True, help="JSON: the dataset's format, classes and channels")
    parser.add_argument(
        "--size", type=_size, required=True, help="side in pixels; 256-crop crops instead of squashing"
    )
    parser.add_argument("--splits-dir", type=Path, required=True, help="folder with the three split tables")
    parser.add_argument("--root", type=Path, required=True, help="the folder of the images")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder of the store")
    parser.add_argument("--threads", type=count(1), help="default: all CPUs")


def _size(text: str) -> tuple[int, str]:
    side, _, geometry = text.partition("-")
    if not side.isdecimal() or geometry not in ("", "crop"):
        raise argparse.ArgumentTypeError(f"expected e.g. 256 or 256-crop, got {text!r}")
    return int(side), geometry or "squash"


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [raw_manifest(args.out_dir), *split_files(args.splits_dir)]
    return Files(
        inputs, store_outputs(args.out_dir), ["meddiff.data.stores.build"], {"size": list(args.size)}
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.config.dataset_slices import StoreParams, parse_slice
    from meddiff.data.decoding.pixels import PixelFormat
    from meddiff.data.stores.build import build_store

    size, geometry = args.size
    dataset = parse_slice(args.params, StoreParams)
    build_store(
        splits_dir=args.splits_dir,
        root=args.root,
        out_dir=args.out_dir,
        pixels=PixelFormat(
            size, dataset.channels, geometry, dataset.bits, dataset.decoding, dataset.intensity
        ),
        class_names=[entry.name for entry in dataset.classes],
        threads=args.threads,
        layout=dataset.format,
        listing=raw_manifest(args.out_dir),
    )
