"""Compute the noise-prediction errors of a diffusion classifier on one shard of a split."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meddiff.cli.params import (
    add_batch_size_argument,
    add_compute_argument,
    add_params_argument,
    add_threads_argument,
    compute_of,
    parsed,
    require,
)
from meddiff.records.files import Files, parsed_params, store_manifest, weights_inputs, with_network
from meddiff.signals import listen

if TYPE_CHECKING:
    from meddiff.config.schema.experiment import StoppingConfig
    from meddiff.data.stores.relabelled import Relabelling
    from meddiff.scoring.settings import ScoringSettings

# Key of ``--params`` -> what errors depend on as well.
_FURTHER_CODE = {"stopping": "meddiff.diffusion.stopping", "relabel": "meddiff.data.stores.relabelled"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_params_argument(parser, "seed, steps, noise_levels, precision; stopping, relabel")
    parser.add_argument("--weights", type=Path, required=True, help="folder of the weights")
    parser.add_argument("--store", type=Path, required=True, help="folder of the image store")
    parser.add_argument("--split", default="test", choices=["train", "valid", "test", "shifted"])
    parser.add_argument(
        "--shard",
        type=_shard,
        default=(1, 1),
        metavar="I-of-N",
        help="which share of the images, e.g. 2-of-4",
    )
    parser.add_argument(
        "--earlier",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="files of an earlier run, as in --out, to take over what was made from the same",
    )
    add_batch_size_argument(parser)
    add_out_argument(parser)
    add_compute_argument(parser)
    add_threads_argument(parser)


def add_out_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--out``: one file or two."""
    parser.add_argument(
        "--out",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="errors file to write, and behind it the file of evidence maps where these are wanted",
    )


def _shard(text: str) -> tuple[int, int]:
    numbers = text.split("-of-")
    if (
        len(numbers) != 2
        or not all(n.isdecimal() for n in numbers)
        or not 1 <= int(numbers[0]) <= int(numbers[1])
    ):
        raise argparse.ArgumentTypeError(f"expected I-of-N with 1 <= I <= N, e.g. 2-of-4, got {text!r}")
    return int(numbers[0]), int(numbers[1])


def scoring_settings(args: argparse.Namespace) -> tuple[ScoringSettings, StoppingConfig]:
    """What ``--params`` says.

    Raises:
        ConfigError: naming the key.
    """
    from meddiff.config.schema.experiment import ScoreConfig
    from meddiff.scoring.settings import ScoringSettings

    params = dict(args.params)
    stopping, _ = params.pop("stopping", {}), params.pop("relabel", None)
    keys = ("steps", "noise_levels", "precision")
    seed, *values = require(params, "seed", *keys)
    document = {**dict(zip(keys, values, strict=True)), "stopping": stopping}
    score = parsed(ScoreConfig, document, "--params")
    return ScoringSettings(seed, score.steps, score.noise_levels, score.precision), score.stopping


def relabelling_of(params: dict[str, Any]) -> Relabelling | None:
    """What ``--params`` says of images of another dataset than the weights were trained on.

    Raises:
        ConfigError: naming the key.
    """
    from meddiff.data.stores.relabelled import Relabelling

    return parsed(Relabelling, params["relabel"], "--params: relabel") if "relabel" in params else None


def scoring_files(args: argparse.Namespace) -> tuple[list[Path], list[str] | None]:
    """The files and the modules that errors depend on."""
    inputs = [*weights_inputs(args.weights), store_manifest(args.store)]
    params = parsed_params(args)
    further = [module for key, module in _FURTHER_CODE.items() if key in params]
    written = ["meddiff.scoring.error_file", "meddiff.scoring.evidence_file"][: len(args.out)]
    code = with_network(args.weights, "meddiff.scoring.score", *written, *further)
    return inputs, code


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs, code = scoring_files(args)
    settings = {"split": args.split, "shard": list(args.shard)}
    return Files(inputs, args.out, code, settings, resumes=True)


def gpus(args: argparse.Namespace) -> int:
    """How many GPUs the command takes."""
    return 1


def run(args: argparse.Namespace) -> None:
    listen()
    import torch

    from meddiff.cli.train import state_root
    from meddiff.data.stores.scratch import on_scratch
    from meddiff.scoring.images import Shard
    from meddiff.scoring.labelled_file import ScoredFiles
    from meddiff.scoring.run import score_shard

    settings, stopping = scoring_settings(args)
    compute = compute_of(args)
    out, earlier = (None if given is None else ScoredFiles.of(given) for given in (args.out, args.earlier))
    if args.threads:
        torch.set_num_threads(args.threads)
    store = on_scratch(args.store, (args.split,), compute.scratch)
    score_shard(
        args.weights,
        Shard(store, args.split, *args.shard, relabelling_of(args.params)),
        settings,
        out,
        state_root(),
        stopping=stopping,
        batch_size=args.batch_size,
        earlier=earlier,
        compute=compute,
    )
