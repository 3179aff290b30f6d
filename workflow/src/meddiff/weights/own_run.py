"""Weights of a training of this workflow's own, that another training begins from.

Only names are read of networks, and none of their modules knows of this: a training without such a
beginning does not depend on this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from meddiff.errors import CheckpointError, ConfigError
from meddiff.finite import check_finite
from meddiff.models.checkpoint import read_weights

# The class embedding of the UNet, and the label tables of the DiT's blocks.
_OF_CLASSES = ("class_embedding.", ".class_embedder.")
_SHOWN = 5


def class_tensors(network: nn.Module) -> set[str]:
    """Names of the tensors that belong to the classes, which begin anew whatever their shape.

    Row 0 of two datasets is not one class, and a row that is trained beside one that is not would be wrong
    for all classes but the first.
    """
    cfg = getattr(getattr(network, "backbone", None), "pretrained_cfg", None) or {}
    heads = cfg.get("classifier") or ()
    heads = tuple(f"backbone.{head}." for head in ([heads] if isinstance(heads, str) else heads))
    return {
        name
        for name in network.state_dict()
        if name.startswith(heads) or any(part in name for part in _OF_CLASSES)
    }


def begin_from(network: nn.Module, path: Path) -> list[str]:
    """Put the weights of a training into a network, but for those of the classes, which stay as they are.

    Args:
        network: freshly built.
        path: ``model.safetensors`` of the training, as it is released: the average, where it has one.

    Returns:
        The names of the tensors that stay.

    Raises:
        CheckpointError: if the file is missing or damaged, holds values that are not finite, or a tensor is
            missing, unknown or of another shape.
    """
    tensors, own = read_weights(path), network.state_dict()
    anew = class_tensors(network)
    if problems := misfits(tensors, own, anew):
        raise CheckpointError(f"{path}: training cannot begin from these weights: {problems}")
    kept = {name: tensor for name, tensor in tensors.items() if name not in anew}
    check_finite(path, kept, own)
    network.load_state_dict({**own, **kept})
    return sorted(anew)


def check_fit(network: nn.Module, before: nn.Module, run: str) -> None:
    """Check that a network can begin from the weights of another one; neither needs memory (device meta).

    Args:
        network: what begins.
        before: the network of the training that it begins from.
        run: that training, for the message.

    Raises:
        ConfigError: naming the tensors that do not fit, and both shapes.
    """
    if problems := misfits(before.state_dict(), network.state_dict(), class_tensors(network)):
        raise ConfigError(
            f"pretrained: the weights of {run} do not fit: {problems}; give both models the same "
            "`architecture`, and both datasets the same `channels`"
        )


def misfits(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], anew: set[str]) -> str:
    """What of `tensors` does not fit into `own`, in words; blank where all but the names in `anew` does."""
    problems = [
        f"{name} is {_shape(tensors.get(name))} there and {_shape(own.get(name))} here"
        for name in sorted((tensors.keys() | own.keys()) - anew)
        if _shape(tensors.get(name)) != _shape(own.get(name))
    ]
    more = [f"and {len(problems) - _SHOWN} more"] * (len(problems) > _SHOWN)
    return ", ".join([*problems[:_SHOWN], *more])


def _shape(tensor: Tensor | None) -> str:
    if tensor is None:
        return "missing"
    kind = "" if tensor.is_floating_point() else f" of {str(tensor.dtype).removeprefix('torch.')}"
    return f"{list(tensor.shape)}{kind}"
