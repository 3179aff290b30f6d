"""Make a table (CSV, Markdown, LaTeX) or a figure (its data as CSV, PNG, PDF)."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.artifacts.lookup import code_of, names
from meddiff.cli.params import add_params_argument
from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("name", choices=names(), metavar="name", help="one of %(choices)s")
    add_params_argument(parser, "what the artifact's `Settings` say")
    add_input_argument(parser)
    parser.add_argument("--out", type=Path, nargs=3, required=True, help="files to write, the CSV first")


def add_input_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--input``."""
    parser.add_argument(
        "--input",
        nargs="+",
        action="append",
        default=[],
        metavar=("NAME", "FILE"),
        help="what it is made from, as its plan names it; files in the order of the settings",
    )


def inputs_of(args: argparse.Namespace) -> dict[str, list[Path]]:
    """Name -> files that ``--input`` gives."""
    found: dict[str, list[Path]] = {}
    for name, *files in args.input:
        found.setdefault(name, []).extend(map(Path, files))
    return found


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [path for paths in inputs_of(args).values() for path in paths]
    return Files(inputs, args.out, code_of(args.name), {"artifact": args.name})


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.artifacts.artifact import Table
    from meddiff.artifacts.lookup import load
    from meddiff.artifacts.making import draw_figure, make_table
    from meddiff.cli.params import parsed

    artifact = load(args.name)
    make = make_table if isinstance(artifact, Table) else draw_figure
    make(artifact, parsed(artifact.settings, args.params, "--params"), inputs_of(args), *args.out)
