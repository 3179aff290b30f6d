"""Make Grad-CAM maps of a discriminative baseline."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_threads_argument
from meddiff.records.files import Files, store_manifest, weights_inputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--weights", type=Path, required=True, help="folder of the baseline's weights")
    parser.add_argument("--store", type=Path, required=True, help="folder of the image store")
    parser.add_argument("--splits", nargs="+", required=True, choices=["train", "valid", "test"])
    parser.add_argument("--out", nargs="+", type=Path, required=True, help="file to write, one a split")
    add_threads_argument(parser)


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [*weights_inputs(args.weights), store_manifest(args.store)]
    code = ["meddiff.localising.grad_cam", "meddiff.localising.saliency_file"]
    return Files(inputs, args.out, code, {"splits": args.splits})


def gpus(args: argparse.Namespace) -> int:
    """How many GPUs the command takes."""
    return 1


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    import torch

    from meddiff.data.stores.store import Store
    from meddiff.errors import ConfigError
    from meddiff.localising.grad_cam import grad_cam, layer_names
    from meddiff.localising.saliency_file import write_saliency
    from meddiff.models.spec import read_spec
    from meddiff.models.trained import default_device, load_model
    from meddiff.scoring.labelled_file import ImageSet

    if len(args.splits) != len(args.out):
        raise ConfigError(f"--out: needs one file a split, got {len(args.out)} for {len(args.splits)}")
    if args.threads:
        torch.set_num_threads(args.threads)
    model, _ = load_model(args.weights, default_device())
    for split, out in zip(args.splits, args.out, strict=True):
        store = Store.open(args.store, split)
        read_spec(args.weights).check_use(args.weights, store, diffusion=False)
        images = ImageSet(store.image_ids, store.labels, store.groups, store.class_names)
        maps = {layer: grad_cam(model, store.images, store.labels, layer) for layer in layer_names(model)}
        write_saliency(out, images, maps)
