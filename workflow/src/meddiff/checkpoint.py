"""Weights and resume state on disk: safetensors with JSON, never pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from meddiff.errors import CheckpointError
from meddiff.io import atomic_path


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
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in state.tensors.items()}
    _write(path, tensors, {"values": json.dumps(state.values)})


def load_state(path: Path) -> TrainState | None:
    """Read a state written by `save_state`; None where there is none.

    Raises:
        CheckpointError: if the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stream:
            values = json.loads(stream.metadata()["values"])
            return TrainState({name: stream.get_tensor(name) for name in stream.keys()}, values)  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged resume state ({error}); delete it to start again") from error


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a model's weights (persistent buffers included), atomically.

    Raises:
        CheckpointError: if they cannot be written.
    """
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in model.state_dict().items()}
    _write(path, tensors, None)


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None) -> None:
    try:
        with atomic_path(path, durable=True) as temporary:
            save_file(tensors, temporary, metadata)
    except (OSError, SafetensorError) as error:
        size = sum(tensor.nbytes for tensor in tensors.values()) / 2**20
        raise CheckpointError(f"{path}: {size:.0f} MiB cannot be written ({error})") from error


def load_weights(path: Path, model: nn.Module) -> None:
    """Load weights into `model`, which must have exactly these tensors.

    Raises:
        CheckpointError: if the file is missing or damaged, or its tensors do not fit.
    """
    load_tensors(path, read_tensors(path), model)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such weights")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged weights ({error})") from error


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
    if missing or unknown or wrong:
        problems = {"missing": missing, "unknown": unknown, "wrong shape": wrong}
        text = "; ".join(f"{k}: {', '.join(v[:5])} ({len(v)})" for k, v in problems.items() if v)
        raise CheckpointError(f"{path}: weights do not fit the model: {text}")
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
