"""Grad-CAM (Selvaraju et al. 2017) of discriminative baselines, by captum."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn

from meddiff.diffusion.pixels import to_unit_range
from meddiff.networks.classifier import TimmClassifier
from meddiff.progress import track

_BATCH = 64
_LAST_BLOCKS = 4  # of a transformer, whose resolution is the same everywhere


def layer_names(model: TimmClassifier) -> list[str]:
    """The layers whose features are looked at, as the backbone calls them, from the first to the last.

    Those that timm lists as stages; of a transformer, whose patches keep their number, the last blocks,
    without the very last: behind it only the class token reaches the output.
    """
    names = [info["module"] for info in model.backbone.feature_info]
    if getattr(model.backbone, "num_prefix_tokens", None) is None:
        return names
    return names[-1 - _LAST_BLOCKS : -1] or names[-1:]


def grad_cam(model: TimmClassifier, images: np.ndarray, labels: Sequence[int], layer: str) -> np.ndarray:
    """Maps of what speaks for the class `labels` of each image.

    Args:
        model: on the device to compute on; it is put into eval mode.
        images: uint8 [I, H, W, C].
        labels: I class indices.
        layer: one of `layer_names`.

    Returns:
        fp32 [I, H, W], not negative; bilinear between the places of the layer.
    """
    device, parts = next(model.parameters()).device, []
    model.eval()
    with _spatial(model, layer) as features:
        method = LayerGradCam(model, features)
        for start in track(range(0, len(images), _BATCH), f"Grad-CAM of {layer}"):
            rows = slice(start, start + _BATCH)
            inputs = to_unit_range(torch.from_numpy(np.array(images[rows])).to(device))
            target = torch.as_tensor(np.asarray(labels[rows])).to(device)
            maps = method.attribute(inputs, target=target, relu_attributions=True)
            shown = LayerAttribution.interpolate(maps, images.shape[1:3], interpolate_mode="bilinear")
            parts.append(shown[:, 0].detach().float().cpu().numpy())
    return np.concatenate(parts) if parts else np.empty((0, *images.shape[1:3]), dtype=np.float32)


class _Spatial(nn.Module):
    """Passes features on unchanged, and shows them as [N, C, h, w] on the way."""

    def __init__(self, prefix_tokens: int, channels_last: bool) -> None:
        super().__init__()
        self._prefix, self._channels_last = prefix_tokens, channels_last
        self.shown = nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        if features.ndim == 3:
            prefix, patches = features[:, : self._prefix], features[:, self._prefix :]
            side = math.isqrt(patches.shape[1])
            shown = self.shown(patches.transpose(1, 2).unflatten(2, (side, side)))
            return torch.cat([prefix, shown.flatten(2).transpose(1, 2)], dim=1)
        if self._channels_last:
            return self.shown(features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.shown(features)


@contextmanager
def _spatial(model: TimmClassifier, layer: str) -> Iterator[nn.Module]:
    """A module of `model` whose output are the features of `layer`; the model is as before afterwards."""
    parent_name, _, name = layer.rpartition(".")
    parent = model.backbone.get_submodule(parent_name)
    original = parent.get_submodule(name)
    spatial = _Spatial(
        getattr(model.backbone, "num_prefix_tokens", 0),
        getattr(model.backbone, "output_fmt", "NCHW") == "NHWC",
    )
    setattr(parent, name, nn.Sequential(original, spatial))
    try:
        yield spatial.shown
    finally:
        setattr(parent, name, original)
