"""Values on the command line: the ``--params`` JSON that rules pass, and numbers."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from meddiff.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from meddiff.config.schema.compute import ComputeConfig

M = TypeVar("M", bound="BaseModel")


def add_params_argument(parser: argparse.ArgumentParser, keys: str) -> None:
    """Add ``--params``; `keys` says in the help which keys it must have."""
    parser.add_argument("--params", required=True, type=json_object, help=f"JSON object with {keys}")


def add_compute_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--compute``: how networks are run."""
    parser.add_argument(
        "--compute",
        type=json_object,
        default={},
        help="JSON object with keys of `compute` in an experiment's file: processes, save_minutes and more",
    )


def add_batch_size_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--batch-size``."""
    parser.add_argument(
        "--batch-size",
        type=count(0),
        default=0,
        help="network inputs a pass (images x classes); 0, the default, chooses what fits the device",
    )


def add_threads_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--threads`` of a command that runs a network."""
    parser.add_argument("--threads", type=count(0), default=0, help="CPU threads; 0 leaves it to torch")


def compute_of(args: argparse.Namespace) -> ComputeConfig:
    """What ``--compute`` says.

    Raises:
        ConfigError: naming the key.
    """
    from meddiff.config.schema.compute import ComputeConfig

    return parsed(ComputeConfig, args.compute, "--compute")


def parsed(model: type[M], document: dict[str, Any], option: str) -> M:
    """`document` as an object of the class `model`.

    Raises:
        ConfigError: naming `option` and the key.
    """
    from pydantic import ValidationError

    from meddiff.config.reasons import lines_of

    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{option}: {line}" for line in lines_of(error))) from error


def json_object(text: str) -> dict[str, Any]:
    """A JSON object, as an argument's type: every key once, and finite numbers."""

    def no_number(name: str) -> float:
        raise ValueError(f"{name} is no number of JSON")

    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    try:
        value = json.loads(text, parse_constant=no_number, object_pairs_hook=each_once)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("expected a JSON object, in braces")
    return value


def count(least: int) -> Callable[[str], int]:
    """An argument's type: a whole number, at least `least`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number, at least {least}, got {text[:40]!r}")
        return int(text)

    return parse


def positive(text: str) -> float:
    """An argument's type: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a finite number above 0, got {text[:40]!r}")
    return value


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
    seed = params.get("seed", 0)
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ConfigError(f"--params: seed: expected a whole number from 0 to {2**32 - 1}, got {seed!r}")
    return [params[key] for key in keys]
