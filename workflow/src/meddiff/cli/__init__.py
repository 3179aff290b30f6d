"""Command line: thin entry points over the package, one module per command.

A command module has a docstring (its help), ``add_arguments(parser)`` and ``run(args)``. Only the module
of the command that is called is imported, so commands that need no torch start without it.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys

from meddiff.errors import MeddiffError
from meddiff.progress import setup_logging

COMMANDS: dict[str, str] = {
    "fetch": "make a dataset's images available and record their checksums",
    "getsplits": "find published split files and check them",
    "validate": "check a dataset and write its canonical table",
    "split": "make the train, valid and test tables",
    "stratify": "find the stratum of every image, for the audit of shortcuts",
    "store": "decode and resize every image once into memory-mapped arrays",
    "pretrained": "fetch the weights that training begins from",
    "listing": "list the authors' released weights",
    "released": "make one released model available and record its checksums",
    "convert": "turn a released model into weights as training writes them",
    "generate": "make a small pretrained model",
    "zeroshot": "write a pretrained model as weights, without training",
    "select": "write one dataset's part of a jointly trained model",
    "train": "train one model on one dataset",
    "score": "compute the noise-prediction errors of a diffusion classifier",
    "gather": "join the shards of a scoring run",
    "vote": "turn noise-prediction errors into predictions",
    "predict": "predict with a discriminative baseline",
    "metrics": "compute metrics with confidence intervals from predictions",
    "explain": "make the counterfactuals of a diffusion model and have them classified",
    "measure": "compute the metrics of counterfactuals",
    "table": "make a table of the paper",
    "figure": "draw a figure of the paper",
    "schemas": "write the JSON schemas of the configuration files",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code (1 for an error the user can act on)."""
    argv = sys.argv[1:] if argv is None else argv
    name = argv[0] if argv else ""
    if name not in COMMANDS:
        parser = argparse.ArgumentParser(prog="python -m meddiff", description="\n".join(_overview()))
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.add_argument("command", choices=list(COMMANDS), metavar="command")
        parser.parse_args(argv[:1])
        return 2
    module = importlib.import_module(f"meddiff.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m meddiff {name}", description=module.__doc__)
    module.add_arguments(parser)
    args = parser.parse_args(argv[1:])
    setup_logging()
    try:
        module.run(args)
    except MeddiffError as error:
        logging.getLogger("meddiff").error("%s", error)
        return 1
    return 0


def _overview() -> list[str]:
    return ["commands:", *(f"  {name:<10} {text}" for name, text in COMMANDS.items())]
