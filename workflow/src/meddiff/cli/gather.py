"""Join the shards of a scoring run into one errors file, and one of evidence maps, in the split's order."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument
from meddiff.cli.score import add_out_argument, relabelling_of, scoring_files, scoring_settings
from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "shards",
        type=Path,
        nargs="+",
        help="errors files of the shards, and behind them their evidence maps where --out names these too",
    )
    add_params_argument(parser, "what the shards must have been scored with, as for `score`")
    parser.add_argument("--weights", type=Path, required=True, help="folder of the weights that scored them")
    parser.add_argument("--store", type=Path, required=True, help="folder of the image store")
    parser.add_argument("--split", default="test", choices=["train", "valid", "test", "shifted"])
    add_out_argument(parser)


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs, code = scoring_files(args)
    return Files([*args.shards, *inputs], args.out, code, {"split": args.split})


def run(args: argparse.Namespace) -> None:
    from meddiff.data.stores.relabelled import as_of_model
    from meddiff.data.stores.store import Store
    from meddiff.errors import ConfigError
    from meddiff.scoring.error_file import gather_errors
    from meddiff.scoring.evidence_file import gather_evidence
    from meddiff.scoring.images import Shard
    from meddiff.scoring.labelled_file import ScoredFiles
    from meddiff.scoring.origin import check_shards

    settings, _ = scoring_settings(args)
    out = ScoredFiles.of(args.out)
    if len(args.shards) % len(args.out):
        raise ConfigError(
            f"{len(args.shards)} files of shards: expected as many of errors as of evidence maps"
        )
    count = len(args.shards) // len(args.out)
    errors, evidence = args.shards[:count], args.shards[count:]
    images = Shard(args.store, args.split, relabelling=relabelling_of(args.params))
    check = (args.weights, images, settings)
    check_shards(errors, *check)
    store = Store.open(args.store, args.split, checked=False)
    _, rows = as_of_model(store, images.relabelling, args.store)
    image_ids = [store.image_ids[row] for row in rows]
    gather_errors(errors, image_ids, out.errors)
    if out.evidence is not None:
        check_shards(evidence, *check, evidence=True)
        gather_evidence(evidence, image_ids, out.evidence)
