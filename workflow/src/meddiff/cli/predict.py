"""Predict a split with a discriminative baseline."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_threads_argument, json_object, parsed
from meddiff.records.files import Files, store_manifest, weights_inputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", type=Path, required=True, help="folder of the weights")
    parser.add_argument("--store", type=Path, required=True, help="folder of the image store")
    parser.add_argument("--split", default="test", choices=["train", "valid", "test", "shifted"])
    parser.add_argument(
        "--relabel",
        type=json_object,
        help="JSON object with class_names and classes, for images of another dataset than was trained on",
    )
    parser.add_argument("--out", type=Path, required=True, help="predictions table to write")
    add_threads_argument(parser)


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [*weights_inputs(args.weights), store_manifest(args.store)]
    code = ["meddiff.networks.classifier", "meddiff.readout.from_logits"]
    settings = {"split": args.split}
    if args.relabel is not None:
        code, settings = [*code, "meddiff.data.stores.relabelled"], {**settings, "relabel": args.relabel}
    return Files(inputs, [args.out], code, settings)


def gpus(args: argparse.Namespace) -> int:
    """How many GPUs the command takes."""
    return 1


def run(args: argparse.Namespace) -> None:
    import torch

    from meddiff.data.stores.relabelled import Relabelling, Rows, as_of_model
    from meddiff.data.stores.store import Store
    from meddiff.models.spec import read_spec
    from meddiff.models.trained import default_device, load_model
    from meddiff.networks.classifier import predict_logits
    from meddiff.readout.from_logits import from_logits
    from meddiff.readout.predictions import write_predictions

    if args.threads:
        torch.set_num_threads(args.threads)
    relabelling = None if args.relabel is None else parsed(Relabelling, args.relabel, "--relabel")
    store, rows = as_of_model(Store.open(args.store, args.split), relabelling, args.store)
    read_spec(args.weights).check_use(args.weights, store, diffusion=False)
    model, _ = load_model(args.weights, default_device())
    logits = predict_logits(model, store.images if relabelling is None else Rows(store.images, rows))
    ids, groups = ([values[row] for row in rows] for values in (store.image_ids, store.groups))
    table = from_logits(ids, groups, store.labels[rows], logits, store.class_names)
    write_predictions(table, args.out)
