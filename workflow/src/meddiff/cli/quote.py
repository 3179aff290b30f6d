"""Write the tables of runs that are here into the pages that quote them, or compare them.

A block begins with `<!-- from PATH -->` and ends with `<!-- end -->`; PATH is below the folder that the
command is run in. Where the file is not here the block stays.
"""

from __future__ import annotations

import argparse
from pathlib import Path

PAGES = (Path("docs/results.md"), Path("docs/speed.md"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pages",
        nargs="*",
        type=Path,
        default=list(PAGES),
        metavar="page",
        help=f"Markdown files (default: {' '.join(map(str, PAGES))})",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail where a value and that of the run differ more than intervals allow",
    )


def run(args: argparse.Namespace) -> None:
    from meddiff.errors import DataError
    from meddiff.io import write_text
    from meddiff.records.text_blocks import disagreements, refreshed

    lines = []
    for page in args.pages:
        if not page.is_file():
            raise DataError(f"{page}: there is no such file; go where the Snakefile is, or name a page")
        text = page.read_text(encoding="utf-8")
        if args.check:
            lines += [f"{page}: {line}" for line in disagreements(text, Path())]
        else:
            write_text(page, refreshed(text, Path()))
    if lines:
        raise DataError("\n".join(["pages do not say what the runs here do:", *lines]))
