"""Measure the counterfactuals of one run: how much changed, where, and whether classifiers follow."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument, parsed
from meddiff.records.files import Files, raw_manifest, store_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_params_argument(parser, "dataset, model, seed, mask_margin and more")
    parser.add_argument("--table", type=Path, required=True, help="CSV that `explain` wrote")
    parser.add_argument("--images", type=Path, required=True, help="folder that `explain` wrote")
    parser.add_argument("--features", type=Path, required=True, help="NumPy archive that `explain` wrote")
    parser.add_argument("--store", type=Path, required=True, help="folder of the image store")
    parser.add_argument("--predictions", type=Path, required=True, help="of the diffusion classifier, CSV")
    parser.add_argument("--oracle", type=Path, help="predictions CSV of the baseline that classified too")
    parser.add_argument("--root", type=Path, help="folder of the images; needed for a phantom's masks")
    parser.add_argument("--out-measures", type=Path, required=True, help="CSV to write, one row an image")
    parser.add_argument("--out-metrics", type=Path, required=True, help="tidy metrics CSV to write")
    parser.add_argument("--out-examples", type=Path, required=True, help="archive for the figure to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [args.table, args.features, args.predictions, store_manifest(args.store)]
    if args.oracle:
        inputs.append(args.oracle)
    if args.params.get("phantom"):
        inputs.append(raw_manifest(args.store))  # masks lie among the images
    outputs = [args.out_measures, args.out_metrics, args.out_examples]
    return Files(inputs, outputs, ["meddiff.explaining.measure_run"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.explaining.measure_run import MeasureFiles, MeasureSettings, make_measures

    paths = MeasureFiles(
        table=args.table,
        images=args.images,
        features=args.features,
        store=args.store,
        predictions=args.predictions,
        oracle=args.oracle,
        root=args.root,
        measures=args.out_measures,
        metrics=args.out_metrics,
        examples=args.out_examples,
    )
    make_measures(parsed(MeasureSettings, args.params, "--params"), paths)
