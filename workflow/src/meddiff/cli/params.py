"""Parse the ``--params`` JSON that rules pass: one narrow slice of the configuration."""

from __future__ import annotations

import argparse
import json
from typing import Any

from meddiff.errors import ConfigError


def add_params_argument(parser: argparse.ArgumentParser, keys: str) -> None:
    """Add ``--params``; `keys` says in the help which keys it must have."""
    parser.add_argument("--params", required=True, type=json.loads, help=f"JSON object with {keys}")


def add_compute_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--compute``: how networks are run."""
    parser.add_argument(
        "--compute",
        type=json.loads,
        default={},
        help="JSON object with keys of `compute` in an experiment's file: processes, save_minutes and more",
    )


def add_batch_size_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--batch-size``."""
    parser.add_argument(
        "--batch-size",
        type=_batch_size,
        default=0,
        help="network inputs a pass (images x classes); 0, the default, chooses what fits the device",
    )


def _batch_size(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of network inputs, or 0, got {text!r}")
    return int(text)


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``: what a run of the workflow would be given."""
    parser.add_argument(
        "--config",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="as for snakemake, e.g. experiment=paper; the default is the experiment of config/config.yaml",
    )


def require(params: dict[str, Any], *keys: str) -> list[Any]:
    """The values of `keys`, which must be exactly the keys of `params`.

    Raises:
        ConfigError: naming what is missing or unknown.
    """
    missing, unknown = set(keys) - set(params), set(params) - set(keys)
    if missing or unknown:
        raise ConfigError(f"--params: missing keys {sorted(missing)}, unknown keys {sorted(unknown)}")
    return [params[key] for key in keys]
