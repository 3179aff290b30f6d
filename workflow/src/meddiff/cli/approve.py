"""Write down what a model would be trained from, if it can be, and if that replaces no published weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument, require
from meddiff.cli.train import training_files
from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_params_argument(parser, "model (resolved configuration) and seed")
    parser.add_argument("--store", type=Path, nargs="+", required=True, help="stores it is trained on")
    parser.add_argument("--pretrained", type=Path, help="folder of the weights to begin from")
    parser.add_argument("--experiment", required=True, help="name of the folder below results")
    parser.add_argument("--run", required=True, dest="name", help="DATASET/MODEL/seedK")
    parser.add_argument(
        "--decision",
        choices=["none", "retrain", "keep"],
        default="none",
        help="what to do with published weights that would change; none stops",
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs, code = training_files(args)
    return Files(inputs, [args.out], code)


def run(args: argparse.Namespace) -> None:
    from meddiff.config import parse_model
    from meddiff.model_spec import ModelSpec
    from meddiff.models import with_pretrained_architecture
    from meddiff.training.approval import approve
    from meddiff.training.inputs import open_stores, training_inputs
    from meddiff.training.network_check import check_trainable
    from meddiff.weights.releases import read_release

    model, seed = require(args.params, "model", "seed")
    config = with_pretrained_architecture(parse_model(model), args.pretrained)
    images = open_stores(args.store, "train")
    check_trainable(ModelSpec.for_store(config, images), len(images.labels))
    inputs = training_inputs(config, seed, args.store, args.pretrained)
    release = read_release(args.experiment)
    published = release.runs.get(args.name) if release else None
    approve(args.name, inputs, published, args.decision, args.out, args.experiment)
