"""Say what a run would take: jobs, GPU-hours and disk, of each stage and in all.

GPU-hours need a throughput: --tflops, or --calibrate, which measures the experiment's own networks on this
machine for a minute. Operations are counted from the networks (two a multiply-accumulate); jobs are those of
`snakemake -n`.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from meddiff.cli.params import count, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="as for snakemake, e.g. experiment=paper"
    )
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--tflops", type=positive, help="sustained TFLOP/s of one GPU, on these networks")
    rate.add_argument("--calibrate", action="store_true", help="measure it here, on the GPU if there is one")
    parser.add_argument(
        "--calibrate-seconds", type=positive, default=60.0, help="time for that (default: 60)"
    )
    parser.add_argument(
        "--gpus", type=count(1), default=1, help="GPUs at a time, for the hours until the end"
    )
    parser.add_argument(
        "--training-factor",
        type=positive,
        default=3.0,
        help="operations of a training step, in forward passes (default: 3)",
    )
    parser.add_argument(
        "--images",
        nargs="+",
        default=[],
        metavar="NAME=TRAIN,VALID,TEST",
        help="images of a dataset that is not here yet",
    )
    parser.add_argument("--everything", action="store_true", help="also what is finished")
    parser.add_argument("--json", action="store_true", help="print JSON")


def gpus(args: argparse.Namespace) -> int:
    """How many GPUs the command takes."""
    return int(args.calibrate)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.cli import job_of
    from meddiff.config import Config, top_level
    from meddiff.errors import ConfigError
    from meddiff.planning.report import as_text, job_hours, rows
    from meddiff.planning.schedule import wall_hours
    from meddiff.planning.sizes import parse_sizes, split_sizes
    from meddiff.planning.work import Estimator
    from meddiff.records.today import dry_run, require_workflow

    require_workflow()
    config = Config(top_level(args.config))
    commands, counts = dry_run(args.config, everything=args.everything)
    given = dict(map(parse_sizes, args.images))
    if unknown := sorted(set(given) - set(config.known_datasets)):
        raise ConfigError(f"--images {unknown[0]}: the experiment has no such dataset")
    sizes = {name: split_sizes(name, dataset, given) for name, dataset in config.every_dataset.items()}
    estimator = Estimator(config, sizes, args.training_factor)
    works = [estimator.work(job_of(command)) for command in commands]
    rates = _rates(args, config, estimator, works)
    table, notes = rows(works, rates, config.experiment.models), list(estimator.notes)
    if rates is None:
        notes.append("GPU-hours need a throughput: --tflops, or --calibrate")
    else:
        hours = wall_hours(works, [job_hours(work, rates) for work in works], args.gpus)
        gpus = "1 GPU" if args.gpus == 1 else f"{args.gpus} GPUs"
        notes.append(f"{hours:.3g} hours with {gpus}, without queues and the start of jobs")
    if any(row["unknown_bytes"] for row in table):
        notes.append("? is what is downloaded or generated: its size is not known before")
    if any(work.temporary for work in works):
        notes.append("while running: resume states and partial results, which may be deleted afterwards")
    if not args.json:
        print(as_text(table, sizes, notes))
        return
    document: dict[str, Any] = {
        "rules": counts,
        "stages": table[:-1],
        "in_all": table[-1],
        "images": {name: vars(known) for name, known in sizes.items()},
        "wall_hours": None if rates is None else hours,
        "gpus": args.gpus,
        "tflops": None
        if rates is None
        else {
            name: {
                "inference": {precision: flops / 1e12 for precision, flops in rate.inference.items()},
                "training": rate.training / 1e12,
            }
            for name, rate in rates.items()
        },
        "notes": notes,
    }
    print(json.dumps(document, indent=1, sort_keys=True))


def _rates(args: argparse.Namespace, config: Any, estimator: Any, works: Any) -> Any:
    """Model (or ``all``) -> rate; None where the user gives none and wants none measured."""
    from meddiff.planning.report import ALL
    from meddiff.planning.throughput import Rate, calibrate

    if args.tflops:
        return {ALL: Rate.of_all(1e12 * args.tflops)}
    if not args.calibrate or not estimator.networks:
        return None
    networks = {}
    for (model, dataset), (resolved, cost) in estimator.networks.items():
        data = config.datasets[dataset]
        shape = (len(data.classes), data.channels, resolved.image_size or data.image_size)
        networks.setdefault(model, (resolved, cost, shape))
    used = {
        model: {work.precision for work in works if work.model == model and work.inference}
        for model in networks
    }
    return calibrate(
        networks,
        used,
        config.experiment.compute,
        seconds=args.calibrate_seconds,
        training_factor=args.training_factor,
    )
