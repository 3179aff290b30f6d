"""Make images unlike a dataset's, on which scores of being so are tried."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument, parsed
from meddiff.records.files import Files, store_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_params_argument(parser, "kinds, images and seed, as in `shifts` of an experiment")
    parser.add_argument(
        "--stores",
        type=Path,
        nargs="+",
        required=True,
        help="the dataset's store, and those of other datasets",
    )
    parser.add_argument("--out-dir", type=Path, required=True, help="folder of the store to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    outputs = [store_manifest(args.out_dir), args.out_dir / "index.parquet", args.out_dir / "shifted.npy"]
    inputs = [store_manifest(store) for store in args.stores]
    return Files(inputs, outputs, ["meddiff.data.stores.shifted"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.config.schema.shifts import ShiftsConfig
    from meddiff.data.stores.shifted import build_shifted_store

    shifts = parsed(ShiftsConfig, args.params, "--params")
    # A store lies in data/<dataset>/store/<size>.
    others = {store.parents[1].name: store for store in args.stores[1:]}
    build_shifted_store(args.stores[0], others, args.out_dir, shifts.kinds, shifts.images, shifts.seed)
