"""Keep published weights although what they were made from has changed.

Everything that training needs is brought up to date, then the training job takes the published weights.
Their own run.json goes on saying what they were made from.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="RUN", help="DATASET/MODEL/seedK, or joint/MODEL/seedK")
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="as you give it to snakemake"
    )


def run(args: argparse.Namespace) -> None:
    from meddiff.weights.keeping import keep

    keep(args.name, args.config)
