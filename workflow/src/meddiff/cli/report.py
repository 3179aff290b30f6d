"""Make the report: one page that opens anywhere, with all tables and figures and what they say."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.artifact import add_input_argument, inputs_of
from meddiff.cli.params import add_params_argument
from meddiff.records.files import Files
from meddiff.reporting.assets import asset_files

# What the page depends on, and the rooms that have templates, scripts and styles of it.
MODULES = ("meddiff.reporting.parts", "meddiff.cases.part", "meddiff.writing.part")
ROOMS = ("reporting", "cases", "writing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_params_argument(parser, "what `meddiff.reporting.settings.ReportSettings` say")
    add_input_argument(parser)
    parser.add_argument("--cases", type=Path, required=True, help="index of the cases that `cases` wrote")
    parser.add_argument(
        "--written", type=Path, nargs=3, required=True, help="methods, references and check lists"
    )
    parser.add_argument("--out", type=Path, required=True, help="HTML file to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [path for paths in inputs_of(args).values() for path in paths]
    return Files([*inputs, args.cases, *args.written, *map(Path, asset_files(*ROOMS))], [args.out], MODULES)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.cases.part import case_part
    from meddiff.cli.params import parsed
    from meddiff.io import write_text
    from meddiff.reporting.given import Given
    from meddiff.reporting.page import page
    from meddiff.reporting.parts import library_of, parts_after_cases, parts_before_cases
    from meddiff.reporting.settings import ReportSettings
    from meddiff.writing.part import writing_parts

    settings = parsed(ReportSettings, args.params, "--params")
    given = Given.of(settings, inputs_of(args))
    # Parts of other rooms come between these: the page knows only `PagePart`.
    cases = case_part(args.cases, args.cases.with_suffix(""))
    parts = [*parts_before_cases(given), cases, *parts_after_cases(given)]
    anchors = {one.id for one in [*given.artifacts, *parts]}
    parts += writing_parts(args.written, anchors)
    write_text(args.out, page(settings, parts, library_of(parts)))
