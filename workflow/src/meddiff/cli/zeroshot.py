"""Write a pretrained Stable Diffusion as weights, without training: the zero-shot classifier."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument, require
from meddiff.records.files import Files, parsed_params, weights_outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_params_argument(parser, "model (resolved configuration), num_classes, channels, image_size and seed")
    parser.add_argument("--pretrained", type=Path, required=True, help="folder of the pretrained weights")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    from meddiff.models.kinds import network_module

    code = ["meddiff.weights.stable_diffusion", network_module(parsed_params(args)["model"]["kind"])]
    return Files([args.pretrained / "manifest.json"], weights_outputs(args.out), code)


def run(args: argparse.Namespace) -> None:
    from meddiff.config import parse_model
    from meddiff.models.spec import ModelSpec
    from meddiff.weights.stable_diffusion import take_pretrained

    keys = ("model", "num_classes", "channels", "image_size", "seed")
    model, num_classes, channels, image_size, seed = require(args.params, *keys)
    spec = ModelSpec(parse_model(model), num_classes, channels, image_size)
    take_pretrained(spec, seed, args.pretrained, args.out)
