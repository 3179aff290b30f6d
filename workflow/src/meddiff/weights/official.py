"""Load checkpoints that the authors' training loop has saved (accelerate's ``save_state`` folders).

Only safetensors files are opened; the pickles beside them are never read.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from meddiff.errors import CheckpointError
from meddiff.models.checkpoint import load_tensors, read_tensors, without_prefix

ONLINE, EMA, EMBEDDING = "model.safetensors", "model_1.safetensors", "model_2.safetensors"


def load_official_diffusion(folder: Path, denoiser: nn.Module, *, ema: bool = True) -> None:
    """Load the authors' UNet or DiT checkpoint into `denoiser`.

    Args:
        folder: with ``model.safetensors`` (online network) or ``model_1.safetensors`` (EMA wrapper) and,
            for a UNet, ``model_2.safetensors`` (class embedding, which has no average).
        denoiser: `UNetDenoiser` or `DiTDenoiser` of the checkpoint's architecture.
        ema: take the averaged network (as their inference does), or else the online one.

    Raises:
        CheckpointError: if a file is missing or its tensors do not fit.
    """
    path = folder / (EMA if ema else ONLINE)
    backbone = without_prefix("ema_model", read_tensors(path)) if ema else read_tensors(path)
    tensors = {f"backbone.{name}": tensor for name, tensor in backbone.items()}
    name = "class_embedding.weight"
    if name in denoiser.state_dict():
        embedding = read_tensors(folder / EMBEDDING)
        if "weight" not in embedding:
            raise CheckpointError(
                f"{folder / EMBEDDING}: expected the class embedding, one tensor called weight, got "
                f"{', '.join(embedding)}"
            )
        tensors[name] = embedding["weight"]
    load_tensors(path, tensors, denoiser)


def load_official_pipeline(folder: Path, denoiser: nn.Module) -> None:
    """Load the authors' Stable Diffusion, a folder in diffusers' pipeline layout, into `denoiser`.

    Raises:
        CheckpointError: if a part is missing or does not fit.
    """
    denoiser.load_pretrained(folder)
