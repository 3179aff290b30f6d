"""Draw a figure: PNG, PDF, and a CSV with the data drawn.

step_ablation is made from --errors, uncertainty from --predictions; files go in the order of the runs in
--params.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--kind", choices=["step_ablation", "uncertainty"], required=True)
    parser.add_argument("--params", required=True, help="JSON: datasets, models, runs, style and more")
    source = parser.add_mutually_exclusive_group(required=True)
    for name in ("errors", "predictions"):
        source.add_argument(
            f"--{name}", type=Path, nargs="+", action="extend", help=f"{name} file, one a run"
        )
    for suffix in ("png", "pdf", "csv"):
        parser.add_argument(f"--out-{suffix}", type=Path, required=True, help=f"{suffix} file to write")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.errors import ConfigError
    from meddiff.evaluate.make_figure import make_figure

    option = "errors" if args.kind == "step_ablation" else "predictions"
    paths = getattr(args, option)
    if paths is None:
        raise ConfigError(f"figure --kind {args.kind} is made from --{option}")
    make_figure(args.kind, args.params, paths, args.out_csv, args.out_png, args.out_pdf)
