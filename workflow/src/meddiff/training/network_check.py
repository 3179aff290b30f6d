"""Whether a model can be trained at all, found out before anything that it has is replaced.

The network is built on torch's meta device, which takes no memory, and two images without values go through
it: so a setting that the library refuses, and sizes that do not fit, are known in seconds.
"""

from __future__ import annotations

import torch
from torch import nn

from meddiff.errors import ConfigError, MeddiffError
from meddiff.models.kinds import network_input
from meddiff.models.spec import ModelSpec

# Twenty times the largest network of the paper. More is a slip of the pen, and 160 GB of weights.
MOST_PARAMETERS = 40_000_000_000


def check_trainable(spec: ModelSpec, images: int) -> None:
    """Raise an error if `spec` cannot be trained on `images` images.

    Args:
        spec: the model before its store; of Stable Diffusion with the architecture of its pretrained folder.
        images: number of training images.

    Raises:
        ConfigError: if its network or the library refuses the architecture, an image does not go through it,
            or the warm-up does not end.
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
    with torch.device("meta"), torch.no_grad():
        network = spec.build().eval()
        parameters = sum(parameter.numel() for parameter in network.parameters())
        if parameters > MOST_PARAMETERS:
            raise ConfigError(
                f"model {spec.model.title!r}: its architecture has {parameters:.2g} parameters; at most "
                f"{MOST_PARAMETERS:.2g} are taken for meant"
            )
        _pass_images(spec, network)


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
