"""Before anything is deleted: check that all models that are due may be trained, and keep their weights.

The workflow asks once a run, when it knows what is due. Published weights stop it where they would change.
"""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--experiment", required=True, help="name of the experiment's folder below results")
    parser.add_argument(
        "runs",
        choices=["-"],
        help="from standard input, a JSON list of objects with keys of `meddiff.training.due.DueTraining`",
    )


def run(args: argparse.Namespace) -> None:
    from meddiff.training.due import DueTraining, approve_all

    approve_all(args.experiment, [DueTraining.parse(entry) for entry in json.load(sys.stdin)])
