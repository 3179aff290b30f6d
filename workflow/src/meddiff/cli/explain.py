"""Make the counterfactuals of one diffusion model and have them classified.

A run that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import (
    add_batch_size_argument,
    add_compute_argument,
    add_params_argument,
    add_threads_argument,
    compute_of,
    parsed,
)
from meddiff.records.files import Files, store_manifest, weights_inputs, with_network
from meddiff.signals import listen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_params_argument(parser, "from_t, cfg_scale, sampler and more (config.counterfactual)")
    parser.add_argument("--weights", type=Path, required=True, help="folder of the diffusion model's weights")
    parser.add_argument("--store", type=Path, required=True, help="folder of the image store")
    parser.add_argument("--split", default="test", choices=["train", "valid", "test"])
    parser.add_argument("--oracle", type=Path, help="folder of the weights of a baseline that classifies too")
    parser.add_argument("--features", type=Path, help="folder of the weights of a baseline for distances")
    add_batch_size_argument(parser)
    add_compute_argument(parser)
    add_threads_argument(parser)
    parser.add_argument("--out-images", type=Path, required=True, help="folder of images to write")
    parser.add_argument("--out-table", type=Path, required=True, help="CSV to write, one row an image")
    parser.add_argument("--out-features", type=Path, required=True, help="NumPy archive to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    judges = [folder for folder in dict.fromkeys((args.oracle, args.features)) if folder]
    inputs = [path for folder in (args.weights, *judges) for path in weights_inputs(folder)]
    judging = ["meddiff.explaining.feature_network"] if judges else []
    code = with_network(
        args.weights, "meddiff.explaining.counterfactuals", "meddiff.explaining.judging", *judging
    )
    outputs = [args.out_table, args.out_images, args.out_features]
    settings = {"split": args.split}
    return Files([*inputs, store_manifest(args.store)], outputs, code, settings, resumes=True)


def gpus(args: argparse.Namespace) -> int:
    """How many GPUs the command takes."""
    return 1


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    listen()
    import torch

    from meddiff.cli.train import state_root
    from meddiff.config.schema.counterfactual import ExplainParams
    from meddiff.data.stores.scratch import on_scratch
    from meddiff.explaining.run import ExplainFiles, explain_run

    params, compute = parsed(ExplainParams, args.params, "--params"), compute_of(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    paths = ExplainFiles(
        weights=args.weights,
        store=on_scratch(args.store, (args.split,), compute.scratch),
        split=args.split,
        oracle=args.oracle,
        feature_network=args.features,
        images=args.out_images,
        table=args.out_table,
        features=args.out_features,
    )
    explain_run(paths, params, state_root(), batch_size=args.batch_size, compute=compute)
