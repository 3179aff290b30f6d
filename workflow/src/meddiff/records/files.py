"""What a command reads and writes: the declaration that its record is made from."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

# The names that `meddiff.models.spec`, `meddiff.data.stores.store` and `meddiff.data.obtain.fetch` write; not
# imported from there, because a command says what it reads before it imports torch or pandas.
_WEIGHTS = ("model.safetensors", "config.yaml")
_SPLITS = ("train", "valid", "test")
RAW = "raw.json"


@dataclass(frozen=True)
class Files:
    """Inputs, outputs, code and settings of one call of a command, as its rule has them.

    Attributes:
        inputs: files whose content the outputs depend on. A manifest stands for the files that it lists.
        outputs: files or folders that are written.
        code: modules whose content the outputs depend on: what the rule gives to ``code_of``. None where it
            depends on a file that is not there yet.
        settings: what the outputs depend on beside ``--params``, e.g. the decision rule.
        resumes: whether a run that was stopped goes on where it was, so that its time counts too.
    """

    inputs: Sequence[Path]
    outputs: Sequence[Path]
    code: Sequence[str] | None = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    resumes: bool = False


def weights_inputs(folder: Path) -> list[Path]:
    """What a command reads of trained weights."""
    return [folder / name for name in _WEIGHTS]


def weights_outputs(folder: Path) -> list[Path]:
    """What a command writes that makes weights."""
    return [*weights_inputs(folder), folder / "run.json"]


def store_manifest(folder: Path) -> Path:
    """The manifest of an image store, which has the checksums of its arrays."""
    return folder / "manifest.json"


def store_outputs(folder: Path) -> list[Path]:
    """All files of an image store."""
    arrays = [folder / f"{split}.npy" for split in _SPLITS]
    return [store_manifest(folder), folder / "index.parquet", *arrays]


def raw_manifest(store: Path) -> Path:
    """The manifest of the images that a store (``data/<dataset>/store/<size>``) was made from.

    All folds of a dataset have that of the dataset.
    """
    from meddiff.config.datasets.folds import whole

    folder = store.parents[1]
    return folder.with_name(whole(folder.name)) / RAW


def split_files(folder: Path) -> list[Path]:
    """The three tables of a split."""
    return [folder / f"{split}.csv" for split in _SPLITS]


def parsed_params(args: Any) -> Any:
    """``--params`` of a parsed command line as a value of its own; None where the command has none."""
    params = getattr(args, "params", None)
    # A copy: commands take keys out of theirs.
    return json.loads(params) if isinstance(params, str) else copy.deepcopy(params)


def with_network(weights: Path, *modules: str) -> list[str] | None:
    """`modules` and the one of the network whose weights lie in a folder; None while there are none."""
    from meddiff.models.kinds import network_module

    config = weights / _WEIGHTS[1]
    if not config.is_file():
        return None
    try:
        kind = yaml.safe_load(config.read_text(encoding="utf-8"))["model"]["kind"]
    except yaml.YAMLError as error:
        raise ValueError(f"{config}: {error}") from error
    return [*modules, network_module(kind)]
