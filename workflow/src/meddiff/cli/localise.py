"""Measure how well evidence maps find known lesions, beside Grad-CAM and the usual places."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument, parsed
from meddiff.records.files import Files, raw_manifest, store_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    keys = "dataset, model, seed, votes, phantom, baselines, bootstrap_samples, confidence, bootstrap_seed"
    add_params_argument(parser, keys)
    parser.add_argument("--evidence", type=Path, required=True, help="evidence maps of the test split")
    parser.add_argument("--evidence-valid", type=Path, help="those of the validation split")
    each = "one a baseline of --params, in their order"
    parser.add_argument(
        "--grad-cam", nargs="*", type=Path, default=[], help=f"maps of the test split, {each}"
    )
    parser.add_argument(
        "--grad-cam-valid", nargs="*", type=Path, default=[], help=f"of the validation split, {each}"
    )
    parser.add_argument("--scores-valid", nargs="*", type=Path, default=[], help=f"validation scores, {each}")
    parser.add_argument("--store", type=Path, required=True, help="folder of the image store")
    parser.add_argument("--root", type=Path, required=True, help="folder of the images, with their masks")
    parser.add_argument("--out-measures", type=Path, required=True, help="CSV with a row an image and method")
    parser.add_argument("--out-metrics", type=Path, required=True, help="tidy CSV of their means")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    maps = [args.evidence, *([args.evidence_valid] if args.evidence_valid else [])]
    inputs = [*maps, *args.grad_cam, *args.grad_cam_valid, *args.scores_valid]
    inputs += [store_manifest(args.store), raw_manifest(args.store)]
    return Files(inputs, [args.out_measures, args.out_metrics], ["meddiff.localising.run"])


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.localising.regions import Known
    from meddiff.localising.run import LocaliseFiles, LocaliseSettings, localise
    from meddiff.result_csv import write_csv

    settings = parsed(LocaliseSettings, args.params, "--params")
    known = Known(args.root, settings.phantom, args.store)
    files = LocaliseFiles(
        known, args.evidence, args.evidence_valid, args.grad_cam, args.grad_cam_valid, args.scores_valid
    )
    measures, metrics = localise(settings, files)
    write_csv(measures, args.out_measures)
    write_csv(metrics, args.out_metrics)
