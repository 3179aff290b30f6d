"""Predict a split with a discriminative baseline."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_threads_argument
from meddiff.records.files import Files, store_manifest, weights_inputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", type=Path, required=True, help="folder of the weights")
    parser.add_argument("--store", type=Path, required=True, help="folder of the image store")
    parser.add_argument("--split", default="test", choices=["train", "valid", "test", "shifted"])
    parser.add_argument("--out", type=Path, required=True, help="predictions table to write")
    add_threads_argument(parser)


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [*weights_inputs(args.weights), store_manifest(args.store)]
    code = ["meddiff.networks.classifier", "meddiff.readout.from_logits"]
    return Files(inputs, [args.out], code, {"split": args.split})


def gpus(args: argparse.Namespace) -> int:
    """How many GPUs the command takes."""
    return 1


def run(args: argparse.Namespace) -> None:
    import torch

    from meddiff.data.stores.store import Store
    from meddiff.models.spec import read_spec
    from meddiff.models.trained import default_device, load_model
    from meddiff.networks.classifier import predict_logits
    from meddiff.readout.from_logits import from_logits
    from meddiff.readout.predictions import write_predictions

    if args.threads:
        torch.set_num_threads(args.threads)
    store = Store.open(args.store, args.split)
    read_spec(args.weights).check_use(args.weights, store, diffusion=False)
    model, _ = load_model(args.weights, default_device())
    logits = predict_logits(model, store.images)
    table = from_logits(store.image_ids, store.groups, store.labels, logits, store.class_names)
    write_predictions(table, args.out)
