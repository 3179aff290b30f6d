"""Whether a model can be trained at all, found out before anything that it has is replaced.

The network is built on torch's meta device, which takes no memory, and two images without values go through
it: so a setting that the library refuses, and sizes that do not fit, are known in seconds.
"""

from __future__ import annotations

from difflib import get_close_matches

import torch
from torch import nn

from meddiff.config.schema.model import AnyModel
from meddiff.errors import ConfigError, MeddiffError
from meddiff.models.spec import ModelSpec
from meddiff.planning.networks import network_input

# Twenty times the largest network of the paper. More is a slip of the pen, and 160 GB of weights.
MOST_PARAMETERS = 40_000_000_000


def check_trainable(spec: ModelSpec, images: int) -> None:
    """Raise an error if `spec` cannot be trained on `images` images.

    Args:
        spec: the model before its store; of Stable Diffusion with the architecture of its pretrained folder.
        images: number of training images.

    Raises:
        ConfigError: if timm does not know the model, the library refuses the architecture, an image does not
            go through the network, the class does not enter it, or the warm-up does not end.
    """
    check_network(spec)
    train = spec.model.train
    if train is None:
        return
    total = train.steps or train.epochs * -(-images // train.batch_size)
    if train.warmup_steps >= total:
        raise ConfigError(
            f"model {spec.model.title!r}: train.warmup_steps ({train.warmup_steps}) must end before the "
            f"training, which has {total} steps of {train.batch_size} images"
        )


def check_network(spec: ModelSpec) -> None:
    """Build the network of `spec` without memory, and pass one batch through it.

    Raises:
        ConfigError: see `check_trainable`.
    """
    if spec.model.kind == "timm":
        _check_timm_name(spec.model)
    with torch.device("meta"), torch.no_grad():
        network = spec.build().eval()
        parameters = sum(parameter.numel() for parameter in network.parameters())
        if parameters > MOST_PARAMETERS:
            raise ConfigError(
                f"model {spec.model.title!r}: its architecture has {parameters:.2g} parameters; at most "
                f"{MOST_PARAMETERS:.2g} are taken for meant"
            )
        _pass_images(spec, network)
    if spec.model.kind == "unet" and not any(name.endswith(".attn2") for name, _ in network.named_modules()):
        raise ConfigError(
            f"model {spec.model.title!r}: architecture: no block has cross-attention, by which the class "
            "enters; take CrossAttnDownBlock2D, CrossAttnUpBlock2D or UNetMidBlock2DCrossAttn"
        )


def _check_timm_name(model: AnyModel) -> None:
    import timm

    name = str(model.architecture.get("model_name")).split(".")[0]
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models(), n=3)
        hint = f"; near are {', '.join(near)}" if near else ""
        raise ConfigError(f"model {model.title!r}: architecture.model_name: timm knows no {name!r}{hint}")


def _pass_images(spec: ModelSpec, network: nn.Module) -> None:
    images = torch.empty(2, spec.channels, spec.image_size, spec.image_size)
    arguments = network_input(network, images)
    expected = tuple(arguments[0].shape) if hasattr(network, "input_shape") else (2, spec.num_classes)
    try:
        if hasattr(network, "encode"):
            network.encode(images)
        output = network(*arguments)
        shape = tuple(output.shape)
    except MeddiffError:
        raise
    except Exception as error:  # what a library raises for sizes that do not fit is its own affair
        raise ConfigError(
            f"model {spec.model.title!r}: an image of {spec.image_size} x {spec.image_size} px does not go "
            f"through its architecture: {type(error).__name__}: {error}"
        ) from error
    if shape != expected:
        raise ConfigError(
            f"model {spec.model.title!r}: its architecture makes {list(shape)} of two images, where "
            f"{list(expected)} is needed"
        )
