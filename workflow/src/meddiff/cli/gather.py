"""Join the shards of a scoring run into one errors file, and one of evidence maps, in the split's order."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument
from meddiff.cli.score import outputs_of, scoring_files, scoring_settings
from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shards", type=Path, nargs="+", help="errors files of the shards")
    add_params_argument(parser, "what the shards must have been scored with, as for `score`")
    parser.add_argument("--weights", type=Path, required=True, help="folder of the weights that scored them")
    parser.add_argument("--store", type=Path, required=True, help="folder of the image store")
    parser.add_argument("--split", default="test", choices=["train", "valid", "test", "shifted"])
    parser.add_argument("--out", type=Path, required=True, help="errors file to write")
    parser.add_argument(
        "--evidence-shards", type=Path, nargs="+", default=[], help="files of evidence maps of the shards"
    )
    parser.add_argument("--evidence", type=Path, help="file of evidence maps to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs, code = scoring_files(args)
    shards = [*args.shards, *args.evidence_shards]
    return Files([*shards, *inputs], outputs_of(args), code, {"split": args.split})


def run(args: argparse.Namespace) -> None:
    from meddiff.data.stores.store import Store
    from meddiff.scoring.error_file import gather_errors
    from meddiff.scoring.evidence_file import gather_evidence
    from meddiff.scoring.origin import check_shards

    settings, _ = scoring_settings(args)
    check = (args.weights, args.store, args.split, settings)
    check_shards(args.shards, *check)
    image_ids = Store.open(args.store, args.split, checked=False).image_ids
    gather_errors(args.shards, image_ids, args.out)
    if args.evidence is not None:
        check_shards(args.evidence_shards, *check, evidence=True)
        gather_evidence(args.evidence_shards, image_ids, args.evidence)
