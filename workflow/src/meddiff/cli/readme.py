"""Write the tables of runs that are here into the blocks of README.md that name them, or compare them.

A block begins with `<!-- from PATH -->` and ends with `<!-- end -->`. Where the file is not here it stays.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, default=Path("README.md"), help="the Markdown file")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail where a value and that of the run lie outside of each other's interval",
    )


def run(args: argparse.Namespace) -> None:
    from meddiff.errors import DataError
    from meddiff.io import write_text
    from meddiff.records.text_blocks import disagreements, refreshed

    text = args.file.read_text(encoding="utf-8")
    if args.check:
        if lines := disagreements(text, args.file.parent):
            raise DataError("\n".join([f"{args.file}: does not say what the runs here do:", *lines]))
    else:
        write_text(args.file, refreshed(text, args.file.parent))
