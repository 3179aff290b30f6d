"""Discriminative baselines: timm classifiers with one linear head."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors import SafetensorError
from timm.data import resolve_data_config
from torch import Tensor, nn

from meddiff.config.schema.kinds.timm import TimmConfig
from meddiff.devices.autocast import autocast
from meddiff.diffusion.pixels import to_unit_range
from meddiff.errors import CheckpointError, ConfigError, MeddiffError
from meddiff.finite import check_finite
from meddiff.progress import track

PRETRAINED_FILE = "model.safetensors"


class TimmClassifier(nn.Module):
    """A timm model that takes images in [-1, 1] and does its own normalisation.

    Attributes:
        num_classes: number of classes K.
    """

    def __init__(self, config: TimmConfig, num_classes: int, channels: int, image_size: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        arguments = dict(config.architecture)
        name = arguments.pop("model_name", None)
        if name is None:
            raise ConfigError("architecture.model_name: missing; it is timm's name of the model")
        _check_name(name)
        if timm.get_pretrained_cfg(name).fixed_input_size:
            arguments.setdefault("img_size", image_size)
        self._create = partial(
            timm.create_model, name, num_classes=num_classes, in_chans=channels, **arguments
        )
        self.backbone = self._create()
        mean, deviation = (0.5,) * channels, (0.5,) * channels
        if config.normalisation == "pretrained":
            data = resolve_data_config({}, model=self.backbone)
            mean, deviation = _for_channels(data["mean"], channels), _for_channels(data["std"], channels)
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, K] of images [N, C, H, W] in [-1, 1]."""
        return self.backbone(self.normalise(images))

    def normalise(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] as the backbone wants them."""
        return (images * 0.5 + 0.5 - self.mean) / self.deviation

    def load_pretrained(self, folder: Path) -> None:
        """Begin from the weights in `folder`; nothing is downloaded.

        timm fits them to the number of channels and the size of the image; the head is new.

        Args:
            folder: with ``model.safetensors``, in timm's naming of this model.

        Raises:
            CheckpointError: if the file is missing, holds another model's weights, or values that are not
                finite.
        """
        path = folder / PRETRAINED_FILE
        # Not with the loader that some models have for another format of theirs.
        source = {"file": str(path), "custom_load": False}
        # With the classes of the file: for others, timm would also accept a file in which nothing fits.
        classes = self.backbone.pretrained_cfg["num_classes"]
        try:
            backbone = self._create(num_classes=classes, pretrained=True, pretrained_cfg_overlay=source)
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            name = self.backbone.pretrained_cfg["architecture"]
            raise CheckpointError(
                f"{path}: cannot be used as pretrained weights of {name}: {error}"
            ) from error
        check_finite(path, backbone.state_dict())
        backbone.reset_classifier(self.num_classes)
        self.backbone = backbone

    def plain_parameters(self) -> set[str]:
        """Names of parameters that are not clipped (none)."""
        return set()


def predict_logits(
    model: TimmClassifier,
    images: np.ndarray,
    batch_size: int = 128,
    description: str = "predicting",
    on_batch: Callable[[], None] = lambda: None,
    precision: str = "fp32",
) -> np.ndarray:
    """Logits of stored images.

    Args:
        model: on the device to compute on; it is put into eval mode.
        images: uint8 [I, H, W, C].
        on_batch: called after every batch.
        precision: of the network: ``fp32``, ``fp16`` or ``bf16``.

    Returns:
        float64 [I, K], whose softmax are class probabilities.

    Raises:
        MeddiffError: if an output is NaN or infinite.
    """
    device = next(model.parameters()).device
    model.eval()
    parts = [np.empty((0, model.num_classes))]
    with torch.inference_mode():
        for start in track(range(0, len(images), batch_size), description):
            batch = torch.from_numpy(np.array(images[start : start + batch_size])).to(device)
            with autocast(device, precision):
                logits = model(to_unit_range(batch))
            parts.append(logits.double().cpu().numpy())
            on_batch()
    logits = np.concatenate(parts)
    if not np.isfinite(logits).all():
        raise MeddiffError(
            "the baseline's output is not finite: its weights diverged; lower train.lr and train again"
        )
    return logits


def _check_name(name: str) -> None:
    known = name.partition(".")[0]  # after the dot is the name of weights
    if not timm.is_model(known):
        near = get_close_matches(known, timm.list_models(), n=3)
        hint = f"; near are {', '.join(near)}" if near else ""
        raise ConfigError(f"architecture.model_name: timm knows no {known!r}{hint}")


def _for_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return tuple(values) if len(values) == channels else (sum(values) / len(values),) * channels
