"""Fetch the weights that a model's training begins from and record their checksums."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.params import add_params_argument, require
from meddiff.records.files import Files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_params_argument(parser, "repo, revision and files (a model's `pretrained`)")
    parser.add_argument("--name", required=True, help="what the weights are called, for messages")
    parser.add_argument("--folder", type=Path, help="a folder that has the files, if not --out: no download")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files and their manifest")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    return Files([], [args.out / "manifest.json"])


def run(args: argparse.Namespace) -> None:
    from meddiff.config.schema.pretrained import PretrainedConfig
    from meddiff.weights.pretrained import fetch_pretrained

    repo, revision, files = require(args.params, "repo", "revision", "files")
    config = PretrainedConfig(repo=repo, revision=revision, files=files)
    fetch_pretrained(args.name, config, None if args.folder == args.out else args.folder, args.out)
