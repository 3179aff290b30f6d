"""A network's weights by the names of the library that it is from, and what is ours beside them.

Baselines are timm's models, UNet and DiT are diffusers' `UNet2DConditionModel` and `DiTTransformer2DModel`,
and Stable Diffusion is the former with an `AutoencoderKL`. Each of these parts is written as its library
reads it. What it has no place for (embeddings of the classes, encoded prompts) is in a file of its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meddiff.errors import CheckpointError
from meddiff.io import atomic_path, write_json
from meddiff.models.checkpoint import read_tensors
from meddiff.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

OURS = "meddiff.safetensors"
_DIFFUSERS_WEIGHTS, _DIFFUSERS_CONFIG = "diffusion_pytorch_model.safetensors", "config.json"
_METADATA = {"format": "pt"}  # diffusers asks for it


@dataclass(frozen=True)
class Part:
    """A part of a network that its library can load by itself.

    Attributes:
        attribute: of our network, which holds it.
        folder: where it is in a bundle; blank for the bundle itself.
        library: of it.
        kind: the library's class; of timm the name of the model.
        lines: the two lines of Python that load it, ``{bundle}`` being the folder of the bundle.
    """

    attribute: str
    folder: str
    library: str
    kind: str
    lines: tuple[str, str]

    @property
    def file(self) -> str:
        """Its weights, from the folder of the bundle."""
        return f"{self.folder}/{_DIFFUSERS_WEIGHTS}" if self.folder else "model.safetensors"

    @property
    def files(self) -> list[str]:
        """All its files."""
        return [self.file, *([f"{self.folder}/{_DIFFUSERS_CONFIG}"] if self.folder else [])]


def parts_of(spec: ModelSpec) -> list[Part]:
    """The parts of a model's network.

    Raises:
        CheckpointError: of a kind whose parts are not known.
    """
    kind = spec.model.kind
    if kind == "timm":
        return [_timm(spec)]
    found = {
        "unet": [("backbone", "unet", "UNet2DConditionModel")],
        "dit": [("backbone", "transformer", "DiTTransformer2DModel")],
        "stable_diffusion": [("unet", "unet", "UNet2DConditionModel"), ("vae", "vae", "AutoencoderKL")],
    }
    if kind not in found:
        raise CheckpointError(
            f"models of kind {kind!r} cannot be exported: it is not known which library their network is of; "
            "add the kind to meddiff/bundles/library.py"
        )
    return [_diffusers(*part) for part in found[kind]]


def _diffusers(attribute: str, folder: str, kind: str) -> Part:
    lines = (
        f"from diffusers import {kind}",
        f'network = {kind}.from_pretrained("{{bundle}}/{folder}").eval()',
    )
    return Part(attribute, folder, "diffusers", kind, lines)


def _timm(spec: ModelSpec) -> Part:
    import timm

    arguments = dict(spec.model.architecture)
    name = arguments.pop("model_name")
    if timm.get_pretrained_cfg(name).fixed_input_size:
        arguments.setdefault("img_size", spec.image_size)
    arguments = {"num_classes": spec.num_classes, "in_chans": spec.channels, **arguments}
    text = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    text += ', checkpoint_path="{bundle}/model.safetensors"'
    line = f"network = timm.create_model({name!r}, {text}).eval()"
    return Part("backbone", "", "timm", name, ("import timm", line))


def write_network(folder: Path, spec: ModelSpec, tensors: dict[str, Tensor]) -> list[str]:
    """Write a network's weights into `folder`, the same bytes for the same weights.

    Args:
        folder: of the bundle.
        spec: of the model.
        tensors: all tensors of the network, by our names.

    Returns:
        The files, from `folder`.
    """
    written: list[str] = []
    left = dict(tensors)
    network = spec.build()
    for part in parts_of(spec):
        start = f"{part.attribute}."
        own = {name.removeprefix(start): left.pop(name) for name in sorted(left) if name.startswith(start)}
        _save(own, folder / part.file)
        if part.folder:
            _write_config(folder / part.folder / _DIFFUSERS_CONFIG, getattr(network, part.attribute))
        written += part.files
    if left:
        _save({name: left[name] for name in sorted(left)}, folder / OURS)
        written.append(OURS)
    return written


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, _METADATA)


def _write_config(path: Path, module: nn.Module) -> None:
    """The configuration of a network of diffusers, as `ConfigMixin` reads it."""
    document: dict[str, Any] = json.loads(module.to_json_string())
    kept = ("_class_name", "_diffusers_version")
    document = {key: value for key, value in document.items() if key in kept or not key.startswith("_")}
    write_json(path, document)


def read_network(folder: Path, spec: ModelSpec) -> dict[str, Tensor]:
    """All tensors of a network, by our names.

    Raises:
        CheckpointError: if a file is missing, damaged, or no safetensors file.
    """
    tensors = read_tensors(folder / OURS) if (folder / OURS).is_file() else {}
    for part in parts_of(spec):
        found = read_tensors(folder / part.file)
        tensors |= {f"{part.attribute}.{name}": tensor for name, tensor in found.items()}
    return tensors
