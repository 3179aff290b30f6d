"""Read a Stable Diffusion folder in diffusers' pipeline layout, from local files and safetensors only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextModel

from meddiff.config.schema.kinds.stable_diffusion import StableDiffusionConfig
from meddiff.errors import CheckpointError
from meddiff.finite import check_finite

_CONFIG_FILES = {
    "unet": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "scheduler": "scheduler_config.json",
    "tokenizer": "tokenizer_config.json",
}


def check_folder(folder: Path) -> None:
    """Raise an error that lists every part of the pipeline that is missing in `folder`.

    Raises:
        CheckpointError: see above.
    """
    expected = [f"{part}/{name}" for part, name in _CONFIG_FILES.items()]
    missing = [path for path in expected if not (folder / path).is_file()]
    missing += [
        f"{part}/*.safetensors"
        for part in ("unet", "vae", "text_encoder")
        if not list((folder / part).glob("*.safetensors"))
    ]
    if missing:
        raise CheckpointError(
            f"{folder}: not a Stable Diffusion folder in diffusers' layout; missing: {', '.join(missing)}"
        )


def with_architecture(config: StableDiffusionConfig, folder: Path) -> StableDiffusionConfig:
    """`config` with the architecture that the configuration files of `folder` describe.

    Raises:
        CheckpointError: if `folder` has not the layout.
    """
    check_folder(folder)
    text = _read(folder, "text_encoder")
    architecture = {
        "unet": _public(_read(folder, "unet")),
        "vae": _public(_read(folder, "vae")),
        "scheduler": _public(_read(folder, "scheduler")),
        "tokens": [text["max_position_embeddings"], text["hidden_size"]],
    }
    return config.model_copy(update={"architecture": architecture})


def load_part(folder: Path, name: str, kind: type[nn.Module]) -> nn.Module:
    """Load one network of the pipeline, fp32, on the CPU.

    Raises:
        CheckpointError: if it cannot be loaded from safetensors files of `folder`, or a value is not finite.
    """
    try:
        part = kind.from_pretrained(str(folder / name), use_safetensors=True, local_files_only=True).float()
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{folder / name}: cannot be loaded: {error}") from error
    check_finite(folder / name, part.state_dict())
    return part


@torch.no_grad()
def encode_prompts(folder: Path, prompts: Sequence[str]) -> Tensor:
    """Last hidden states of the text encoder, fp32 [len(prompts), L, D]; prompts are padded to L.

    Raises:
        CheckpointError: if a part is missing, or a prompt is longer than the encoder can read.
    """
    text_encoder = load_part(folder, "text_encoder", CLIPTextModel).eval()
    length = text_encoder.config.max_position_embeddings
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / 'tokenizer'}: cannot be loaded: {error}") from error
    ids = tokenizer(list(prompts), padding="max_length", max_length=length, return_tensors="pt").input_ids
    if ids.shape[1] > length:
        raise CheckpointError(f"{folder}: a prompt has {ids.shape[1]} tokens, at most {length} are read")
    return text_encoder(ids).last_hidden_state


def _read(folder: Path, part: str) -> dict[str, Any]:
    path = folder / part / _CONFIG_FILES[part]
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON: {error}") from error


def _public(document: dict[str, Any]) -> dict[str, Any]:
    """Without the library's bookkeeping (class name, version, path)."""
    return {key: value for key, value in document.items() if not key.startswith("_")}
