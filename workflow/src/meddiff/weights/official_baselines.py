"""Load the authors' baselines: one safetensors file with a network and a linear head."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from meddiff.errors import CheckpointError
from meddiff.models.checkpoint import load_tensors, read_tensors
from meddiff.networks.classifier import TimmClassifier

FILE = "model.safetensors"
NETWORKS = ("resnet", "efficientnet", "vit", "swin")


def load_official_baseline(folder: Path, model: TimmClassifier) -> None:
    """Load ``model.safetensors`` of one of the authors' classifiers into `model`.

    Their networks end in features (``backbone.<resnet|efficientnet|vit|swin>.*``) and a linear layer
    (``head.*``) follows; timm's end in a classifier, whose name depends on the network. The residual networks
    are torchvision's, whose tensors have the names and shapes of timm's.

    Args:
        folder: with the file.
        model: of the checkpoint's architecture.

    Raises:
        CheckpointError: if the file is missing or its tensors do not fit.
    """
    path = folder / FILE
    load_tensors(path, with_timm_names(path, read_tensors(path), model.backbone), model)


def with_timm_names(path: Path, tensors: dict[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """The authors' names of tensors turned into those of `TimmClassifier`.

    Args:
        path: where `tensors` come from, for messages.
        backbone: the timm model inside.

    Raises:
        CheckpointError: if a name is neither of a known network nor of the head.
    """
    classifier = backbone.pretrained_cfg["classifier"]
    named = {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        if parts[0] == "backbone" and parts[1] in NETWORKS:
            named[".".join(["backbone", *parts[2:]])] = tensor
        elif parts[0] == "head" and parts[-1] in ("weight", "bias"):
            named[f"backbone.{classifier}.{parts[-1]}"] = tensor
        else:
            raise CheckpointError(
                f"{path}: unknown tensor {name}; the authors' classifiers have backbone.<network>.* with one "
                f"of {', '.join(NETWORKS)}, and head.weight and head.bias"
            )
    return named
