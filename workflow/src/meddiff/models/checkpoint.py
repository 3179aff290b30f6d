"""Weights and resume state on disk: safetensors with JSON, never pickle.

Every file holds the checksum of its content, which is checked when it is read: to safetensors a flipped bit
of a weight is another weight.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from meddiff.errors import CheckpointError
from meddiff.finite import check_finite
from meddiff.io import atomic_path

log = logging.getLogger("meddiff")

_WEIGHTS_REPAIR = "delete it and run again, or restore it, if it was published"
_METADATA = "meddiff"  # one key: safetensors writes several in any order


@dataclass
class TrainState:
    """Everything needed to go on as if training had never stopped.

    Attributes:
        tensors: name -> tensor (model, EMA and optimizer, with prefixes).
        values: JSON-serialisable rest (step, best metric, history, scaler).
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any] = field(default_factory=dict)


def save_state(path: Path, state: TrainState) -> None:
    """Write `state` as one file, atomically, so that tensors and values always belong together.

    Raises:
        CheckpointError: if it cannot be written; an earlier file is left as it was.
    """
    _write(path, state.tensors, json.loads(json.dumps(state.values)))  # as they will be read


def load_state(path: Path) -> TrainState | None:
    """Read a state written by `save_state`; None where there is none.

    Raises:
        CheckpointError: if the file is damaged.
    """
    if not path.is_file():
        return None
    tensors, metadata = _read(path, "resume state", "delete it to start again")
    values = _checked(path, tensors, metadata, "resume state", "delete it to start again")
    if values is None:
        raise CheckpointError(f"{path}: damaged resume state (no values); delete it to start again")
    return TrainState(tensors, values)


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a model's weights (persistent buffers included) and their checksum, atomically.

    Raises:
        CheckpointError: if they cannot be written.
    """
    _write(path, model.state_dict(), None)


def _write(path: Path, tensors: Mapping[str, Tensor], values: dict[str, Any] | None) -> None:
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    metadata = json.dumps({"sha256": _sha256(tensors, values), "values": values}, sort_keys=True)
    try:
        with atomic_path(path, durable=True) as temporary:
            save_file(tensors, temporary, {_METADATA: metadata})
    except (OSError, SafetensorError) as error:
        size = sum(tensor.nbytes for tensor in tensors.values()) / 2**20
        raise CheckpointError(f"{path}: {size:.0f} MiB cannot be written ({error})") from error


def load_weights(path: Path, model: nn.Module) -> None:
    """Load weights into `model`, which must have exactly these tensors.

    Raises:
        CheckpointError: if the file is missing or damaged, or its tensors do not fit.
    """
    load_tensors(path, read_weights(path), model)


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a file that `save_weights` wrote.

    Raises:
        CheckpointError: if the file is missing, or is not what was written.
    """
    tensors, metadata = _read(path, "weights", _WEIGHTS_REPAIR)
    if metadata is None:
        log.warning("%s: was written by an earlier version, without a checksum to compare with", path)
    else:
        _checked(path, tensors, metadata, "weights", _WEIGHTS_REPAIR)
    return tensors


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, whoever wrote it.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    return _read(path, "weights", "fetch it again")[0]


def _read(path: Path, what: str, repair: str) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    """Tensors and metadata of a file."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such {what}")
    try:
        with safe_open(path, framework="pt") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys()}, stream.metadata()  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path}: damaged {what} ({error}); {repair}") from error


def _checked(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None, what: str, repair: str
) -> dict[str, Any] | None:
    """The values of a file whose checksum fits."""
    try:
        document = json.loads((metadata or {})[_METADATA])
        found, values = document["sha256"], document["values"]
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: damaged {what} (no checksum); {repair}") from error
    if found != _sha256(tensors, values):
        raise CheckpointError(f"{path}: damaged {what} (the checksum does not fit); {repair}")
    return values


def _sha256(tensors: Mapping[str, Tensor], values: dict[str, Any] | None) -> str:
    """Of the values, and of names, types, shapes and bytes of contiguous tensors on the CPU."""

    def of_bytes(tensor: Tensor) -> str:
        return hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy()).hexdigest()

    names = sorted(tensors)
    with ThreadPoolExecutor() as pool:  # hashlib lets other threads run
        digests = list(pool.map(of_bytes, (tensors[name] for name in names)))
    described = [[n, str(tensors[n].dtype), list(tensors[n].shape)] for n in names]
    return hashlib.sha256(json.dumps([values, described, digests], sort_keys=True).encode()).hexdigest()


def load_tensors(path: Path, tensors: dict[str, Tensor], model: nn.Module) -> None:
    """Load `tensors` into `model`, which must have exactly these.

    Args:
        path: where they come from, for messages.

    Raises:
        CheckpointError: if they do not fit.
    """
    expected = model.state_dict()
    missing, unknown = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    wrong = [
        f"{name}: {tuple(tensors[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & tensors.keys())
        if tensors[name].shape != expected[name].shape
    ]
    not_numbers = [
        f"{name}: {tensors[name].dtype} instead of {expected[name].dtype}"
        for name in sorted(expected.keys() & tensors.keys())
        if tensors[name].is_floating_point() != expected[name].is_floating_point()
    ]
    if missing or unknown or wrong or not_numbers:
        problems = {
            "missing": missing,
            "unknown": unknown,
            "wrong shape": wrong,
            "wrong kind of number": not_numbers,
        }
        text = "; ".join(f"{k}: {', '.join(v[:5])} ({len(v)})" for k, v in problems.items() if v)
        raise CheckpointError(f"{path}: weights do not fit the model: {text}")
    check_finite(path, tensors, expected)
    model.load_state_dict(tensors)


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of `tensors` with ``<prefix>.`` before them."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose name begins with ``<prefix>.``, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as ``<parameter index>.<name>`` -> tensor."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, entries in state.items()
        for name, value in entries.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo `optimizer_tensors`; hyper-parameters stay as they are in `optimizer`."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            # A fused optimizer takes it as given that a weight and its averages are alike in memory.
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
