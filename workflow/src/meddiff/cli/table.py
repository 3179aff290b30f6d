"""Make a table: CSV (tidy), Markdown and LaTeX.

counterfactuals is made from --metrics; files go in the order of the runs in --params.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files

SOURCES = {
    "counterfactuals": "metrics",
}
CODE = {
    "counterfactuals": (
        "meddiff.evaluate.counterfactual_table",
        "meddiff.explaining.metrics",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--kind", choices=list(SOURCES), required=True)
    parser.add_argument(
        "--params", required=True, help="JSON: datasets, models, runs and what the kind needs"
    )
    parser.add_argument(
        "--metrics", type=Path, nargs="+", action="extend", required=True, help="metrics CSV, one a run"
    )
    for suffix in ("csv", "md", "tex"):
        parser.add_argument(f"--out-{suffix}", type=Path, required=True, help=f"{suffix} file to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    return Files(
        args.metrics, [args.out_csv, args.out_md, args.out_tex], CODE[args.kind], {"kind": args.kind}
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.artifacts.render import to_latex, to_markdown
    from meddiff.evaluate.make_counterfactuals import make_counterfactual_table
    from meddiff.io import write_text
    from meddiff.result_csv import write_csv

    table, grids = make_counterfactual_table(args.params, args.metrics)
    write_csv(table, args.out_csv)
    write_text(args.out_md, "\n".join(map(to_markdown, grids)))
    write_text(args.out_tex, "\n".join(map(to_latex, grids)))
