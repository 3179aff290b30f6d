"""Collect what the report's case explorer shows: an index of all cases, thumbnails, and details of each."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.cli.params import add_params_argument, parsed
from meddiff.records.files import Files

if TYPE_CHECKING:
    from meddiff.cases.settings import CaseSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_params_argument(parser, "datasets, with the files of each, and most_details")
    parser.add_argument("--out", type=Path, required=True, help="index of the cases to write, JSON")
    parser.add_argument(
        "--out-folder", type=Path, required=True, help="folder to write: thumbnails and details"
    )


def _settings(args: argparse.Namespace) -> CaseSettings:
    from meddiff.cases.settings import CaseSettings

    return parsed(CaseSettings, args.params, "--params")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    datasets = args.params["datasets"]
    named = [run["predictions"] for dataset in datasets for run in dataset["runs"]]
    named += [dataset["strata"]["path"] for dataset in datasets if dataset["strata"]]
    scored = [one for dataset in datasets for one in dataset["scored"]]
    named += [one["counterfactuals"] for one in scored if one["counterfactuals"]]
    # Errors, evidence and stores are read where they are there; these vouch for them (`pipeline/cases.py`).
    outputs = [args.out, args.out_folder]
    return Files(list(map(Path, dict.fromkeys(named))), outputs, ["meddiff.cases.collect"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.cases.collect import collect_cases

    collect_cases(_settings(args), args.out, args.out_folder)
