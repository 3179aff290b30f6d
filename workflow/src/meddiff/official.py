"""Import checkpoints that the authors' code has saved (accelerate's ``save_state`` folders).

Only safetensors files are opened; the pickles beside them are never read.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from meddiff.checkpoint import without_prefix
from meddiff.errors import CheckpointError

ONLINE, EMA, EMBEDDING = "model.safetensors", "model_1.safetensors", "model_2.safetensors"


def load_official_diffusion(folder: Path, denoiser: nn.Module, *, ema: bool = True) -> None:
    """Load the authors' UNet or DiT checkpoint into `denoiser`.

    Args:
        folder: with ``model.safetensors`` (online network), ``model_1.safetensors`` (EMA wrapper) and,
            for a UNet, ``model_2.safetensors`` (class embedding, which has no average).
        denoiser: `UNetDenoiser` or `DiTDenoiser` of the checkpoint's architecture.
        ema: take the averaged network (as their inference does), or else the online one.

    Raises:
        CheckpointError: if a file is missing or its tensors do not fit.
    """
    backbone = without_prefix("ema_model", _read(folder / EMA)) if ema else _read(folder / ONLINE)
    tensors = {f"backbone.{name}": tensor for name, tensor in backbone.items()}
    if "class_embedding.weight" in denoiser.state_dict():
        tensors["class_embedding.weight"] = _read(folder / EMBEDDING)["weight"]
    try:
        denoiser.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{folder}: checkpoint does not fit the model: {error}") from error


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: expected a safetensors file of the authors' checkpoint: {error}"
        ) from error
