"""Draw a figure: PNG, PDF, and a CSV with the data drawn.

method shows one image of one run: it is made from one --errors file and --store.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files, store_manifest

SOURCES = {
    "method": "errors",
}
CODE = {
    "method": ("meddiff.evaluate.method",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--kind", choices=list(SOURCES), required=True)
    parser.add_argument("--params", required=True, help="JSON: datasets, models, runs, style and more")
    parser.add_argument("--errors", type=Path, nargs="+", action="extend", required=True, help="errors file")
    parser.add_argument("--store", type=Path, help="method: folder of the image store")
    for suffix in ("png", "pdf", "csv"):
        parser.add_argument(f"--out-{suffix}", type=Path, required=True, help=f"{suffix} file to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [*args.errors]
    if args.store:
        inputs.append(store_manifest(args.store))
    outputs = [args.out_csv, args.out_png, args.out_pdf]
    return Files(inputs, outputs, CODE[args.kind], {"kind": args.kind})


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.errors import ConfigError
    from meddiff.evaluate.method import make_method_figure

    if args.store is None:
        raise ConfigError("figure: --store goes with --kind method, which needs it")
    if len(args.errors) != 1:
        raise ConfigError(f"figure --kind method is made from one --errors file, got {len(args.errors)}")
    outputs = (args.out_csv, args.out_png, args.out_pdf)
    make_method_figure(args.params, args.errors[0], args.store, *outputs)
