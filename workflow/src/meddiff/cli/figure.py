"""Draw a figure: PNG, PDF, and a CSV with the data drawn.

method shows one image of one run: it is made from one --errors file and --store. counterfactuals (of one
dataset) is made from --examples and counterfactual_front from --measures, files of `measure`, in the order of
the runs in --params.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files, store_manifest

SOURCES = {
    "method": "errors",
    "counterfactuals": "examples",
    "counterfactual_front": "measures",
}
CODE = {
    "method": ("meddiff.evaluate.method",),
    "counterfactuals": ("meddiff.evaluate.counterfactual_figure",),
    "counterfactual_front": ("meddiff.evaluate.counterfactual_front",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--kind", choices=list(SOURCES), required=True)
    parser.add_argument("--params", required=True, help="JSON: datasets, models, runs, style and more")
    source = parser.add_mutually_exclusive_group(required=True)
    for name in ("errors", "examples", "measures"):
        source.add_argument(
            f"--{name}", type=Path, nargs="+", action="extend", help=f"{name} file, one a run"
        )
    parser.add_argument("--store", type=Path, help="method: folder of the image store")
    for suffix in ("png", "pdf", "csv"):
        parser.add_argument(f"--out-{suffix}", type=Path, required=True, help=f"{suffix} file to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [*(getattr(args, SOURCES[args.kind]) or [])]
    if args.store:
        inputs.append(store_manifest(args.store))
    outputs = [args.out_csv, args.out_png, args.out_pdf]
    return Files(inputs, outputs, CODE[args.kind], {"kind": args.kind})


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.errors import ConfigError

    option = SOURCES[args.kind]
    paths = getattr(args, option)
    if paths is None:
        raise ConfigError(f"figure --kind {args.kind} is made from --{option}")
    if (args.store is not None) != (args.kind == "method"):
        raise ConfigError("figure: --store goes with --kind method, which needs it")
    outputs = (args.out_csv, args.out_png, args.out_pdf)
    if args.kind == "method":
        from meddiff.evaluate.method import make_method_figure

        if len(paths) != 1:
            raise ConfigError(f"figure --kind method is made from one --errors file, got {len(paths)}")
        make_method_figure(args.params, paths[0], args.store, *outputs)
    elif args.kind == "counterfactuals":
        from meddiff.evaluate.make_counterfactuals import make_counterfactual_figure

        make_counterfactual_figure(args.params, paths, *outputs)
    else:
        from meddiff.evaluate.make_counterfactuals import make_front_figure

        make_front_figure(args.params, paths, *outputs)
