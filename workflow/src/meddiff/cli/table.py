"""Make a table: CSV (tidy), Markdown and LaTeX.

counterfactuals is made from --metrics, audit from --predictions; files go in the order of the runs in
--params. audit also needs --strata, one file a dataset. efficiency is made from --errors, and where --params
say so from --validation and --variants.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files

SOURCES = {
    "audit": "predictions",
    "counterfactuals": "metrics",
    "efficiency": "errors",
}
CODE = {
    "audit": ("meddiff.evaluate.make_audit", "meddiff.artifacts.render"),
    "counterfactuals": (
        "meddiff.evaluate.counterfactual_table",
        "meddiff.explaining.metrics",
    ),
    "efficiency": ("meddiff.evaluate.make_efficiency", "meddiff.artifacts.render"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--kind", choices=list(SOURCES), required=True)
    parser.add_argument(
        "--params", required=True, help="JSON: datasets, models, runs and what the kind needs"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    for name, what in (
        ("metrics", "CSV, one a run"),
        ("predictions", "CSV, one a run"),
        ("errors", "file, one a run"),
    ):
        source.add_argument(f"--{name}", type=Path, nargs="+", action="extend", help=f"{name} {what}")
    parser.add_argument("--strata", type=Path, nargs="+", help="audit: strata CSV, one a dataset")
    parser.add_argument(
        "--validation", type=Path, nargs="*", default=[], help="efficiency: errors of the validation split"
    )
    parser.add_argument(
        "--variants", type=Path, nargs="*", default=[], help="efficiency: errors with other noise levels"
    )
    for suffix in ("csv", "md", "tex"):
        parser.add_argument(f"--out-{suffix}", type=Path, required=True, help=f"{suffix} file to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [*(getattr(args, SOURCES[args.kind]) or []), *(args.strata or [])]
    inputs += [*args.validation, *args.variants]
    return Files(inputs, [args.out_csv, args.out_md, args.out_tex], CODE[args.kind], {"kind": args.kind})


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.artifacts.render import to_latex, to_markdown
    from meddiff.errors import ConfigError
    from meddiff.io import write_text
    from meddiff.result_csv import write_csv

    option = SOURCES[args.kind]
    paths = getattr(args, option)
    if paths is None:
        raise ConfigError(f"table --kind {args.kind} is made from --{option}")
    if (args.strata is not None) != (args.kind == "audit"):
        raise ConfigError("table: --strata goes with --kind audit, which needs it")
    if args.kind == "audit":
        from meddiff.evaluate.make_audit import make_audit_table

        table, grids = make_audit_table(args.params, paths, args.strata)
    elif args.kind == "efficiency":
        from meddiff.evaluate.make_efficiency import make_efficiency_table

        table, grids = make_efficiency_table(args.params, paths, args.validation, args.variants)
    else:
        from meddiff.evaluate.make_counterfactuals import make_counterfactual_table

        table, grids = make_counterfactual_table(args.params, paths)
    write_csv(table, args.out_csv)
    write_text(args.out_md, "\n".join(map(to_markdown, grids)))
    write_text(args.out_tex, "\n".join(map(to_latex, grids)))
