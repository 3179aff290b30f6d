"""Make a table: CSV (tidy), Markdown and LaTeX.

classification and metrics are made from --metrics, comparison from --predictions; files go in the order
of the runs in --params.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--kind", choices=["classification", "comparison", "metrics"], required=True)
    parser.add_argument(
        "--params", required=True, help="JSON: datasets, models, runs and what the kind needs"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    for name in ("metrics", "predictions"):
        source.add_argument(f"--{name}", type=Path, nargs="+", action="extend", help=f"{name} CSV, one a run")
    for suffix in ("csv", "md", "tex"):
        parser.add_argument(f"--out-{suffix}", type=Path, required=True, help=f"{suffix} file to write")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.errors import ConfigError
    from meddiff.evaluate.make_table import make_table
    from meddiff.evaluate.render import to_latex, to_markdown
    from meddiff.evaluate.summary import write_csv
    from meddiff.io import write_text

    option = "predictions" if args.kind == "comparison" else "metrics"
    paths = getattr(args, option)
    if paths is None:
        raise ConfigError(f"table --kind {args.kind} is made from --{option}")
    table, grid = make_table(args.kind, args.params, paths)
    write_csv(table, args.out_csv)
    write_text(args.out_md, to_markdown(grid))
    write_text(args.out_tex, to_latex(grid))
