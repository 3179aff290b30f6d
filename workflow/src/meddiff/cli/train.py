"""Train one model on one dataset; goes on from the last saved state if it was stopped."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from meddiff.cli.params import add_compute_argument, add_params_argument, compute_of, count, require
from meddiff.progress import keep_quiet
from meddiff.records.files import Files, parsed_params, store_manifest, weights_inputs, weights_outputs
from meddiff.signals import listen

STATE_VARIABLE = "MEDDIFF_STATE_DIR"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_params_argument(parser, "model (resolved configuration) and seed")
    parser.add_argument(
        "--store", type=Path, nargs="+", required=True, help="image store, or several to train on jointly"
    )
    parser.add_argument("--pretrained", type=Path, help="folder of the weights to begin from")
    add_publication_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    add_compute_argument(parser)
    parser.add_argument(
        "--threads", type=count(0), default=0, help="CPU threads of all processes; 0 leaves it to torch"
    )
    parser.add_argument(
        "--trackers", type=Path, help="folder for TensorBoard (and Comet, if COMET_API_KEY is set)"
    )


def state_root() -> Path:
    """Where resume states live: $MEDDIFF_STATE_DIR, or .meddiff/state below the working folder."""
    return Path(os.environ.get(STATE_VARIABLE) or ".meddiff/state")


def add_publication_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which run is trained, so that published weights are not replaced by accident."""
    parser.add_argument("--experiment", help="name of the experiment's folder below results")
    parser.add_argument(
        "--run", dest="name", help="DATASET/MODEL/seedK, or joint/MODEL/seedK; with --experiment"
    )
    parser.add_argument(
        "--decision",
        choices=["none", "retrain", "keep"],
        default="none",
        help="what to do with published weights that would change; none stops",
    )


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    from meddiff.config import parse_model
    from meddiff.config.schema.pretrained import PretrainingRun
    from meddiff.models.kinds import training_modules

    model = parse_model(parsed_params(args)["model"])
    inputs = [store_manifest(folder) for folder in args.store]
    if args.pretrained and isinstance(model.pretrained, PretrainingRun):
        inputs.append(weights_inputs(args.pretrained)[0])
    elif args.pretrained:
        inputs.append(args.pretrained / "manifest.json")
    return Files(inputs, weights_outputs(args.out), training_modules(model), resumes=True)


def starts_processes(args: argparse.Namespace) -> bool:
    """Whether this process only starts those that train."""
    return args.compute.get("processes", 1) > 1 and _processes_started() == 1


def _processes_started() -> int:
    """How many `accelerate launch` has started, by hand or below."""
    return int(os.environ.get("WORLD_SIZE", 1))


def gpus(args: argparse.Namespace) -> int:
    """How many GPUs its processes take together."""
    return args.compute.get("processes", 1)


def run(args: argparse.Namespace) -> None:
    started = _processes_started()
    listen(with_parent=started > 1)

    model, seed = require(args.params, "model", "seed")
    compute = compute_of(args)
    if starts_processes(args):
        from meddiff.training.launch import launch

        return launch(args.command_line, compute.processes, args.threads // compute.processes)
    if os.environ.get("RANK", "0") != "0":
        keep_quiet()
    import torch

    from meddiff.config import parse_model
    from meddiff.data.stores.scratch import on_scratch
    from meddiff.training.run import Execution, Training, train_model
    from meddiff.weights.approval import publication_of

    if args.threads:
        torch.set_num_threads(max(1, args.threads // started))
    training = Training(
        parse_model(model),
        seed,
        [on_scratch(store, ("train", "valid"), compute.scratch) for store in args.store],
        args.out,
        args.pretrained,
        publication_of(args.experiment, args.name, args.decision),
    )
    train_model(training, Execution(state_root(), 60 * compute.save_minutes, args.trackers, compute))
