"""Draw a figure: PNG, PDF, and a CSV with the data drawn.

step_ablation is made from --errors, uncertainty from --predictions; files go in the order of the runs in
--params. method shows one image of one run: it is made from one --errors file and --store.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--kind", choices=["step_ablation", "uncertainty", "method"], required=True)
    parser.add_argument("--params", required=True, help="JSON: datasets, models, runs, style and more")
    source = parser.add_mutually_exclusive_group(required=True)
    for name in ("errors", "predictions"):
        source.add_argument(
            f"--{name}", type=Path, nargs="+", action="extend", help=f"{name} file, one a run"
        )
    parser.add_argument("--store", type=Path, help="method: folder of the image store")
    for suffix in ("png", "pdf", "csv"):
        parser.add_argument(f"--out-{suffix}", type=Path, required=True, help=f"{suffix} file to write")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.errors import ConfigError

    option = "predictions" if args.kind == "uncertainty" else "errors"
    paths = getattr(args, option)
    if paths is None:
        raise ConfigError(f"figure --kind {args.kind} is made from --{option}")
    if (args.store is not None) != (args.kind == "method"):
        raise ConfigError("figure: --store goes with --kind method, which needs it")
    outputs = (args.out_csv, args.out_png, args.out_pdf)
    if args.kind == "method":
        from meddiff.evaluate.method import make_method_figure

        if len(paths) != 1:
            raise ConfigError(f"figure --kind method is made from one --errors file, got {len(paths)}")
        make_method_figure(args.params, paths[0], args.store, *outputs)
    else:
        from meddiff.evaluate.make_figure import make_figure

        make_figure(args.kind, args.params, paths, *outputs)
