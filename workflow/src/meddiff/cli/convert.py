"""Turn one released model of the authors into weights as training writes them."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument, require
from meddiff.records.files import Files, parsed_params, weights_outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_params_argument(
        parser, "model (resolved configuration), num_classes, channels, image_size, seed and release"
    )
    parser.add_argument("--folder", type=Path, required=True, help="a copy of the release")
    parser.add_argument("--manifest", type=Path, required=True, help="as `released` writes it")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    from meddiff.models.kinds import network_module
    from meddiff.weights.released import importer_module

    kind = parsed_params(args)["model"]["kind"]
    code = ["meddiff.weights.run_import", importer_module(kind), network_module(kind)]
    return Files([args.manifest], weights_outputs(args.out), code)


def run(args: argparse.Namespace) -> None:
    from meddiff.config import parse_model
    from meddiff.models.spec import ModelSpec
    from meddiff.weights.run_import import import_released

    keys = ("model", "num_classes", "channels", "image_size", "seed", "release")
    model, num_classes, channels, image_size, seed, release = require(args.params, *keys)
    spec = ModelSpec(parse_model(model), num_classes, channels, image_size)
    import_released(spec, seed, release, args.folder, args.manifest, args.out)
