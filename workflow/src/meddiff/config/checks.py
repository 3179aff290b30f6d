"""What must fit between the files of an experiment: names, and a model with the dataset it is used on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.model import (
    AnyModel,
    DiffusionModelConfig,
    GeneratedPretrained,
    StableDiffusionConfig,
)
from meddiff.errors import ConfigError

# As `Name` of `meddiff.config.schema.strict`: it is a part of paths.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DIT_PATCH = 2  # of diffusers, where the file says nothing


def named_file(folder: Path, name: str, what: str) -> Path:
    """``<folder>/<name>.yaml``.

    Raises:
        ConfigError: if `name` is no name, or there is no such file; the message says what there is.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name[:80]!r}: a name has at most 64 lower-case letters, digits and underscores, and a "
            "letter first"
        )
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"{what} {name!r}: there is no {path}; known are {known}")
    return path


def model_problems(model: AnyModel, dataset: DatasetConfig, datasets: Sequence[str]) -> list[str]:
    """What does not fit between a model and a dataset, each with its key.

    Args:
        model: resolved configuration on the dataset.
        dataset: the dataset.
        datasets: names of all datasets of the experiment.
    """
    if isinstance(model, DiffusionModelConfig):
        return list(_network_problems(model, dataset))
    if isinstance(model, StableDiffusionConfig):
        return list(_prompt_problems(model, dataset, datasets))
    if isinstance(model.class_weights, list) and len(model.class_weights) != len(dataset.classes):
        return [
            f"class_weights: expected one a class, {len(dataset.classes)}, got {len(model.class_weights)}"
        ]
    return []


def _network_problems(model: DiffusionModelConfig, dataset: DatasetConfig) -> Iterator[str]:
    if model.kind == "unet" and model.architecture.get("encoder_hid_dim") is None:
        yield "architecture.encoder_hid_dim: missing; it is the size of the class embedding"
    size = model.image_size or dataset.image_size
    if model.wavelet and size % 2:
        yield f"image_size: the Haar transform needs an even side, got {size}; or set wavelet: false"
        return
    side = size // 2 if model.wavelet else size
    if model.kind == "dit":
        patch = model.architecture.get("patch_size", _DIT_PATCH)
        if not isinstance(patch, int) or side % patch:
            half = ", half the image's" * model.wavelet
            yield f"architecture.patch_size: must divide the network's side of {side}{half}, got {patch!r}"
        classes = len(dataset.classes)
        if model.label_table_size and model.label_table_size < classes:
            yield f"label_table_size: must be 0 or at least {classes}, one row a class"


def _prompt_problems(
    model: StableDiffusionConfig, dataset: DatasetConfig, datasets: Sequence[str]
) -> Iterator[str]:
    if model.architecture:
        yield "architecture: is that of the pretrained folder; leave it out"
    if model.prompts is not None and len(model.prompts) != len(dataset.classes):
        yield f"prompts: expected one a class, {len(dataset.classes)}, got {len(model.prompts)}"
    if isinstance(model.pretrained, GeneratedPretrained):
        for name in model.pretrained.datasets:
            if name not in datasets:
                yield (
                    f"pretrained.datasets: {name} is not in the experiment, which has {', '.join(datasets)}; "
                    "the autoencoder is fit to images of these. Write a model's file of your own, with these "
                    "datasets and another pretrained.name"
                )
