"""Which class builds which kind of model. Adding a kind is one line here and one module."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meddiff.config.schema.model import AnyModel
from meddiff.errors import ConfigError, MeddiffError

if TYPE_CHECKING:
    from torch import nn

# By name, not by import: a change in one network's module must not retrain the others
# (meddiff.provenance.code_files follows imports).
BUILDERS: dict[str, tuple[str, str]] = {
    "unet": ("meddiff.networks.unet", "UNetDenoiser"),
    "dit": ("meddiff.networks.dit", "DiTDenoiser"),
    "stable_diffusion": ("meddiff.networks.stable_diffusion", "StableDiffusionDenoiser"),
    "timm": ("meddiff.networks.classifier", "TimmClassifier"),
}
TASKS: dict[str, tuple[str, str]] = {
    "unet": ("meddiff.training.tasks.diffusion", "DiffusionTask"),
    "dit": ("meddiff.training.tasks.diffusion", "DiffusionTask"),
    "stable_diffusion": ("meddiff.training.tasks.diffusion", "DiffusionTask"),
    "timm": ("meddiff.training.tasks.classification", "TimmTask"),
}
# Kinds whose architecture is that of their pretrained folder: the function that reads it.
ARCHITECTURES: dict[str, tuple[str, str]] = {
    "stable_diffusion": ("meddiff.networks.pipeline_folder", "with_architecture"),
}


def network_module(kind: str) -> str:
    """The module that defines the network of a kind of model."""
    return BUILDERS[kind][0]


def task_module(kind: str) -> str:
    """The module that defines how a kind of model is trained."""
    return TASKS[kind][0]


def with_pretrained_architecture(config: AnyModel, folder: Path | None) -> AnyModel:
    """`config` with the architecture of the weights in `folder`, for kinds that take it from there.

    Raises:
        ConfigError: if such a kind is given no folder.
        CheckpointError: if the folder has not the layout of the kind.
    """
    if config.kind not in ARCHITECTURES:
        return config
    if folder is None:
        raise ConfigError(f"model {config.title!r}: needs its pretrained folder (--pretrained)")
    module, name = ARCHITECTURES[config.kind]
    return getattr(importlib.import_module(module), name)(config, folder)


def build_task(config: AnyModel, seed: int, counts: Sequence[int] | None = None) -> Any:
    """The training task of a model (`meddiff.training.trainer.Task`).

    Args:
        config: the resolved configuration.
        seed: of validation's noise.
        counts: training images of each class, for a baseline with ``class_weights: balanced``.

    Raises:
        ConfigError: if there are no images of a class that is to be weighted.
    """
    module, name = TASKS[config.kind]
    task = getattr(importlib.import_module(module), name)
    return task(config, seed, counts)


def build_model(config: AnyModel, num_classes: int, channels: int, image_size: int) -> nn.Module:
    """Build an untrained model.

    Args:
        config: the resolved configuration.
        num_classes: number of classes K (without the null class).
        channels: 1 (grey) or 3 (RGB).
        image_size: side of the input image in pixels.

    Raises:
        ConfigError: if the library refuses the architecture.
    """
    module, name = BUILDERS[config.kind]
    builder = getattr(importlib.import_module(module), name)
    try:
        return builder(config, num_classes, channels, image_size)
    except MeddiffError:
        raise
    except Exception as error:  # libraries do not say what they raise for settings that make no sense
        raise ConfigError(
            f"model {config.title!r}: architecture refused by the library: {type(error).__name__}: {error}"
        ) from error
