"""Released weights as the authors' code saves them, small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

# Sizes that change no name: (constructor arguments of timm, side of the image).
SMALL: dict[str, tuple[dict[str, Any], int]] = {
    "resnet18": ({}, 32),
    "resnet50": ({}, 32),
    "efficientnet_b0": ({}, 32),
    "efficientnet_b4": ({}, 32),
    "vit_small_patch16_224": ({"depth": 2}, 32),
    "vit_base_patch16_224": ({"depth": 1}, 32),
    "swin_base_patch4_window7_224": (
        {"depths": (1, 1, 2, 1), "embed_dim": 16, "num_heads": (1, 1, 2, 2)},
        64,
    ),
}
FIXED_SIZE = ("vit", "swin")


class OfficialClassifier(nn.Module):
    """A network without head under its name, and one linear layer (spec sections 5 and 10)."""

    def __init__(self, name: str, arguments: dict[str, Any], image_size: int) -> None:
        super().__init__()
        self.family = name.split("_")[0].rstrip("0123456789")
        if self.family == "resnet":
            network = getattr(torchvision.models, name)()
            features = network.fc.in_features
            network.fc = nn.Identity()
        else:
            size = {"img_size": image_size} if self.family in FIXED_SIZE else {}
            network = timm.create_model(name, num_classes=0, **size, **arguments)
            features = network.num_features
        self.backbone = nn.Module()
        setattr(self.backbone, self.family, network)
        self.head = nn.Linear(features, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(getattr(self.backbone, self.family)(images))


def shake(module: nn.Module, seed: int = 0) -> nn.Module:
    """Move every weight and statistic away from its start, so that a wrong assignment shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                factor = 0.9 + 0.2 * torch.rand(tensor.shape, generator=generator)
                tensor.mul_(factor).add_(0.01 * torch.rand(tensor.shape, generator=generator))
    return module


def save_diffusion(folder: Path, online: nn.Module, ema: nn.Module, embedding: Tensor | None) -> None:
    """Write the three files of a diffusion checkpoint."""
    folder.mkdir(parents=True)
    save_file(online.state_dict(), folder / "model.safetensors")
    wrapper = {f"ema_model.{name}": tensor.clone() for name, tensor in ema.state_dict().items()}
    wrapper |= {f"online_model.{name}": tensor.clone() for name, tensor in online.state_dict().items()}
    wrapper |= {"initted": torch.tensor(True), "step": torch.tensor(5)}
    save_file(wrapper, folder / "model_1.safetensors")
    if embedding is not None:
        save_file({"weight": embedding}, folder / "model_2.safetensors")


def with_official_names(model: nn.Module, family: str) -> dict[str, Tensor]:
    """A `TimmClassifier`'s tensors under the authors' names."""
    classifier = model.backbone.pretrained_cfg["classifier"]
    named = {}
    for name, tensor in model.backbone.state_dict().items():
        head = name.startswith(f"{classifier}.")
        named[f"head.{name.rpartition('.')[2]}" if head else f"backbone.{family}.{name}"] = tensor.clone()
    return named
