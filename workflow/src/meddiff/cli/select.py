"""Write one dataset's part of a model that was trained on several datasets jointly."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument, require
from meddiff.records.files import Files, parsed_params, weights_inputs, weights_outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_params_argument(
        parser, "model (resolved configuration), num_classes, channels, image_size, seed and first_class"
    )
    parser.add_argument("--joint", type=Path, required=True, help="folder of the joint model's weights")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    from meddiff.models.kinds import network_module

    code = ["meddiff.weights.stable_diffusion", network_module(parsed_params(args)["model"]["kind"])]
    return Files(weights_inputs(args.joint), weights_outputs(args.out), code)


def run(args: argparse.Namespace) -> None:
    from meddiff.config import parse_model
    from meddiff.models.spec import ModelSpec, read_spec
    from meddiff.weights.stable_diffusion import take_classes

    keys = ("model", "num_classes", "channels", "image_size", "seed", "first_class")
    model, num_classes, channels, image_size, seed, first_class = require(args.params, *keys)
    spec = ModelSpec(parse_model(model), num_classes, channels, image_size)
    take_classes(args.joint, spec, first_class, read_spec(args.joint), seed, args.out)
