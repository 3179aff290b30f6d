"""Write the JSON schemas of the configuration files (for editors, and for people to read)."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("workflow/schemas"), help="folder to write to")


def run(args: argparse.Namespace) -> None:
    from meddiff.config.json_schemas import schemas
    from meddiff.io import write_json

    for name, schema in schemas().items():
        write_json(args.out / f"{name}.schema.json", schema)
