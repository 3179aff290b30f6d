"""Make a small pretrained model, in the folder layout of a fetched one."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument, add_threads_argument, require
from meddiff.records.files import Files, store_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_params_argument(parser, "generate, seed and autoencoder_steps (a model's `pretrained`)")
    parser.add_argument("--stores", type=Path, nargs="+", required=True, help="image stores of the datasets")
    add_threads_argument(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files and their manifest")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [store_manifest(folder) for folder in args.stores]
    return Files(inputs, [args.out / "manifest.json"], ["meddiff.networks.tiny_stable_diffusion"])


def gpus(args: argparse.Namespace) -> int:
    """How many GPUs the command takes."""
    return 1


def run(args: argparse.Namespace) -> None:
    import torch

    from meddiff.checksums import checksums
    from meddiff.io import write_json
    from meddiff.networks.tiny_stable_diffusion import make_tiny_stable_diffusion
    from meddiff.records.record import FOLDER
    from meddiff.weights.pretrained import MANIFEST

    kind, seed, steps = require(args.params, "generate", "seed", "autoencoder_steps")
    if args.threads:
        torch.set_num_threads(args.threads)
    make_tiny_stable_diffusion(args.stores, args.out, seed=seed, autoencoder_steps=steps)
    paths = sorted(path for path in args.out.rglob("*") if path.is_file() and path.parent.name != FOLDER)
    files = {path.relative_to(args.out).as_posix(): path for path in paths}
    write_json(args.out / MANIFEST, {"generated": kind, "files": checksums(files)})
