"""Command line: thin entry points over the package, one module per command.

A command module has a docstring (its help), ``add_arguments(parser)`` and ``run(args)``. One that makes
results also has ``files(args)``, which says what it reads and writes: from it the results' records are made
(`meddiff.records`). One that runs a network has ``gpus(args)``, how many GPUs it takes where there are some
(`meddiff.devices.cards`). Only the module of the command that is called is imported, so commands that need no
torch start without it.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING

from meddiff.errors import MeddiffError
from meddiff.progress import setup_logging

if TYPE_CHECKING:
    from meddiff.records.today import Job

# What people call, and what rules call (and people who look at one step).
OWN: dict[str, str] = {
    "init": "look at a folder of images and write the first files for it",
    "plan": "say what a run would take: jobs, GPU-hours and disk",
    "classify": "classify images that are in no dataset, and say why",
    "export": "make a bundle of a trained model, to take away",
    "rules": "judge every decision rule on stored errors",
    "provenance": "print what results were made from, and check that it still holds",
    "publish": "put a finished run into DVC, for others to restore",
    "restore": "restore a published run in a clone of the repository",
    "keep": "keep published weights although what they were made from has changed",
    "quote": "write the tables of runs into the pages that quote them, or compare them",
    "schemas": "write the JSON schemas of the configuration files",
}
RULES: dict[str, str] = {
    "fetch": "make a dataset's images available and record their checksums",
    "getsplits": "find published split files and check them",
    "validate": "check a dataset and write its canonical table",
    "split": "make the train, valid and test tables",
    "leaks": "find what splits share: images, looks, groups of a file",
    "stratify": "find the stratum of every image, for the audit of shortcuts",
    "describe": "count the images and people of each split, for the table of participants",
    "store": "decode and resize every image once into memory-mapped arrays",
    "shift": "make images unlike a dataset's, to try scores of that on",
    "pretrained": "fetch the weights that training begins from",
    "listing": "list the authors' released weights",
    "released": "make one released model available and record its checksums",
    "convert": "turn a released model into weights as training writes them",
    "generate": "make a small pretrained model",
    "zeroshot": "write a pretrained model as weights, without training",
    "select": "write one dataset's part of a jointly trained model",
    "approve": "check that models which are due may be trained, and keep their weights",
    "train": "train one model on one dataset",
    "score": "compute the noise-prediction errors of a diffusion classifier",
    "gather": "join the shards of a scoring run",
    "vote": "turn noise-prediction errors into predictions",
    "predict": "predict with a discriminative baseline",
    "calibrate": "fit calibrated probabilities on the validation split",
    "profile": "fit the error profile of the validation split",
    "decide": "add calibrated probabilities to predictions",
    "metrics": "compute metrics with confidence intervals from predictions",
    "collect": "collect all metrics of an experiment in one JSON file",
    "explain": "make the counterfactuals of a diffusion model and have them classified",
    "measure": "compute the metrics of counterfactuals",
    "gradcam": "make Grad-CAM maps of a discriminative baseline",
    "localise": "measure how well evidence maps find known lesions",
    "artifact": "make a table or a figure",
    "cases": "collect what the report's case explorer shows",
    "methods": "draft a paper's methods and fill in its check lists",
    "report": "make the page with all tables and figures",
}
COMMANDS = OWN | RULES


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code (1 for an error the user can act on).

    Where whoever reads what a person's command prints has gone (``meddiff ... | head``), it ends with 1 and
    without further words.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if argv and argv[0] in RULES:
            raise  # their output goes into a file: another pipe is broken
        # Or Python would try to write the rest when it ends, and say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(argv: list[str]) -> int:
    name = argv[0] if argv else ""
    if name not in COMMANDS:
        parser = argparse.ArgumentParser(prog=_program(), description="\n".join(_overview()))
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.add_argument("command", choices=list(COMMANDS), metavar="command")
        parser.parse_args(argv[:1])
        return 2
    module, args = parse(argv)
    args.command_line = argv
    setup_logging()
    try:
        with _own_cards(module, args), _recorded(name, module, args):
            module.run(args)
    except MeddiffError as error:
        logging.getLogger("meddiff").error("%s", error)
        return 1
    return 0


def parse(argv: Sequence[str]) -> tuple[ModuleType, argparse.Namespace]:
    """The module of a command and its arguments; exits where they are wrong.

    Args:
        argv: name of the command (one of `COMMANDS`) and its arguments.
    """
    name, *arguments = argv
    module = importlib.import_module(f"meddiff.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"{_program()} {name}", description=module.__doc__)
    module.add_arguments(parser)
    return module, parser.parse_args(arguments)


def job_of(line: str) -> Job:
    """The job with this shell command: ``... -m meddiff <command> <arguments> > <log> 2>&1``."""
    from meddiff.records.today import Job

    words = shlex.split(line)
    start = next(i for i, pair in enumerate(pairwise(words)) if pair == ("-m", "meddiff"))
    words = words[start + 2 :]
    words = words[: words.index(">")] if ">" in words else words
    return Job(words[0], *parse(words))


def _own_cards(module: ModuleType, args: argparse.Namespace) -> AbstractContextManager[None]:
    """Keeps the GPUs that a command needs for it; of processes that train together, the one that starts them
    does."""
    number = (
        module.gpus(args) if hasattr(module, "gpus") and int(os.environ.get("WORLD_SIZE", "1")) == 1 else 0
    )
    if not number:
        return nullcontext()
    from meddiff.devices.cards import own_cards

    return own_cards(number)


def _recorded(name: str, module: ModuleType, args: argparse.Namespace) -> AbstractContextManager[None]:
    """What writes the records of a command's results; nothing for other commands."""
    # Of the processes that train one model together (accelerate launch), the first writes, and not the one
    # that only starts them.
    only_starts = getattr(module, "starts_processes", lambda args: False)
    if not hasattr(module, "files") or os.environ.get("RANK", "0") != "0" or only_starts(args):
        return nullcontext()
    from meddiff.cli.train import state_root
    from meddiff.records.files import parsed_params
    from meddiff.records.record import is_inside, recorded

    try:
        files, params = module.files(args), parsed_params(args)
    except (KeyError, TypeError, ValueError, OSError):
        return nullcontext()  # an argument is wrong: the command itself says what
    # Records name files from the working folder, so results elsewhere could not be found by theirs.
    if not all(map(is_inside, files.outputs)):
        return nullcontext()
    return recorded(name, files, params, state_root(), int(os.environ.get("WORLD_SIZE", "1")))


def _program() -> str:
    """How it was called."""
    return "meddiff" if os.path.basename(sys.argv[0]) == "meddiff" else "python -m meddiff"


def _overview() -> list[str]:
    lines = []
    for title, commands in (("commands:", OWN), ("\ncommands that rules call, one for each step:", RULES)):
        lines += [title, *(f"  {name:<10} {text}" for name, text in commands.items())]
    return lines
