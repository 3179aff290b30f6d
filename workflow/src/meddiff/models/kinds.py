"""Which kinds of models there are. Adding one is a line here, a network, and what its file may say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from meddiff.config.schema.model import AnyModel
from meddiff.config.schema.pretrained import PretrainingRun
from meddiff.errors import ConfigError, MeddiffError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Kind:
    """What makes and trains the models of a kind.

    All are named, as ``module:name``, and not imported: a change in one network's module must not retrain the
    others (`meddiff.provenance.code_files` follows imports).

    Attributes:
        network: class, made from configuration, number of classes, channels and image side (`build_model`).
        task: class with the loss of training and its validation (`meddiff.training.trainer.Task`).
        architecture: where it is that of a pretrained folder, the function that reads it from there.
    """

    network: str
    task: str = "meddiff.training.tasks.diffusion:DiffusionTask"
    architecture: str | None = None


# By what a model's file says as its `kind` (`meddiff.config.schema.kinds`).
KINDS = {
    "unet": Kind("meddiff.networks.unet:UNetDenoiser"),
    "dit": Kind("meddiff.networks.dit:DiTDenoiser"),
    "stable_diffusion": Kind(
        "meddiff.networks.stable_diffusion:StableDiffusionDenoiser",
        architecture="meddiff.networks.pipeline_folder:with_architecture",
    ),
    "timm": Kind(
        "meddiff.networks.classifier:TimmClassifier",
        task="meddiff.training.tasks.classification:TimmTask",
    ),
}


def network_module(kind: str) -> str:
    """The module that defines the network of a kind of model."""
    return KINDS[kind].network.partition(":")[0]


def task_module(kind: str) -> str:
    """The module that defines how a kind of model is trained."""
    return KINDS[kind].task.partition(":")[0]


def training_modules(config: AnyModel) -> list[str]:
    """The modules whose code decides what weights the training of a model makes."""
    modules = ["meddiff.training.trainer", network_module(config.kind), task_module(config.kind)]
    from_run = isinstance(getattr(config, "pretrained", None), PretrainingRun)
    return [*modules, *["meddiff.weights.own_run"] * from_run]


def with_pretrained_architecture(config: AnyModel, folder: Path | None) -> AnyModel:
    """`config` with the architecture of the weights in `folder`, for kinds that take it from there.

    Raises:
        ConfigError: if such a kind is given no folder.
        CheckpointError: if the folder has not the layout of the kind.
    """
    function = KINDS[config.kind].architecture
    if function is None:
        return config
    if folder is None:
        raise ConfigError(f"model {config.title!r}: needs its pretrained folder (--pretrained)")
    return resolve_name(function)(config, folder)


def build_task(config: AnyModel, seed: int, counts: Sequence[int] | None = None) -> Any:
    """The training task of a model (`meddiff.training.trainer.Task`).

    Args:
        config: the resolved configuration.
        seed: of validation's noise.
        counts: training images of each class, for a model with ``class_weights: balanced``.

    Raises:
        ConfigError: if there are no images of a class that is to be weighted.
    """
    return resolve_name(KINDS[config.kind].task)(config, seed, counts)


def build_model(config: AnyModel, num_classes: int, channels: int, image_size: int) -> nn.Module:
    """Build an untrained model.

    Args:
        config: the resolved configuration.
        num_classes: number of classes K (without the null class).
        channels: 1 (grey) or 3 (RGB).
        image_size: side of the input image in pixels.

    Raises:
        ConfigError: if its network or the library refuses the architecture.
    """
    network = resolve_name(KINDS[config.kind].network)
    try:
        return network(config, num_classes, channels, image_size)
    except ConfigError as error:
        raise ConfigError(f"model {config.title!r}: {error}") from error
    except MeddiffError:
        raise
    except Exception as error:  # libraries do not say what they raise for settings that make no sense
        raise ConfigError(
            f"model {config.title!r}: architecture refused by the library: {type(error).__name__}: {error}"
        ) from error


def network_input(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Arguments of one forward pass, in the batch size of `images`; a classifier takes these themselves."""
    if not hasattr(network, "input_shape"):
        return (images,)
    n = len(images)
    z, logsnr = images.new_zeros(n, *network.input_shape), images.new_zeros(n)
    return z, logsnr, logsnr.long()
