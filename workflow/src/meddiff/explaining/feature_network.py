"""A trained baseline as a judge of images: class probabilities, features, distances of feature maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from meddiff.diffusion.pixels import to_unit_range
from meddiff.errors import ConfigError
from meddiff.models.trained import load_model
from meddiff.networks.classifier import TimmClassifier

_EPS = 1e-10


class FeatureNetwork:
    """Networks' views of stored images of any size and number of channels.

    Images are resized to the network's size (bilinear, antialiased); grey ones are repeated for a network of
    three channels, and colours averaged for one of a single channel.

    Attributes:
        num_classes: of the network.
    """

    def __init__(self, model: TimmClassifier, channels: int, image_size: int) -> None:
        """Use `model`, which takes images of `channels` channels and side `image_size`."""
        self._model = model.eval()
        self._channels, self._size = channels, image_size
        self.num_classes = model.num_classes

    @classmethod
    def load(cls, weights_dir: Path, device: torch.device) -> FeatureNetwork:
        """The baseline whose weights and configuration are in `weights_dir`.

        Raises:
            CheckpointError: if a file is missing or does not fit.
            ConfigError: if it is no baseline.
        """
        model, spec = load_model(weights_dir, device)
        if not isinstance(model, TimmClassifier):
            raise ConfigError(
                f"{weights_dir}: is a model of kind {spec.model.kind!r}; counterfactuals.oracle and "
                "counterfactuals.features must be baselines (kind 'timm')"
            )
        return cls(model, spec.channels, spec.image_size)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self._model.parameters()).device

    @torch.inference_mode()
    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities, float64 [N, K], of one batch of stored images, uint8 [N, H, W, C]."""
        return torch.softmax(self._model(self._input(images)).double(), dim=1).cpu().numpy()

    @torch.inference_mode()
    def features(self, images: np.ndarray) -> np.ndarray:
        """What the last linear layer sees, float64 [N, D], of a batch as in `probabilities`."""
        backbone = self._model.backbone
        maps = backbone.forward_features(self._model.normalise(self._input(images)))
        return backbone.forward_head(maps, pre_logits=True).flatten(1).double().cpu().numpy()

    @torch.inference_mode()
    def distances(self, images: np.ndarray, others: np.ndarray) -> np.ndarray:
        """How differently the network sees two images, float64 [N], 0 for equal ones.

        As LPIPS without learned weights (Zhang et al. 2018, eq. 1 with w = 1): at every stage of the
        network, features are normalised to length 1 over channels, and their squared distances averaged over
        positions; stages are summed.

        Args:
            images, others: batches as in `probabilities`.
        """
        total = 0.0
        for a, b in zip(self._stages(images), self._stages(others), strict=True):
            difference = functional.normalize(a, dim=1, eps=_EPS) - functional.normalize(b, dim=1, eps=_EPS)
            total = total + difference.square().sum(dim=1).mean(dim=(1, 2)).double()
        return total.cpu().numpy()

    def _stages(self, images: np.ndarray) -> list[Tensor]:
        inputs = self._model.normalise(self._input(images))
        stages = self._model.backbone.forward_intermediates(
            inputs, intermediates_only=True, output_fmt="NCHW"
        )
        return [stage.float() for stage in stages]

    def _input(self, images: np.ndarray) -> Tensor:
        x = to_unit_range(torch.from_numpy(np.array(images)).to(self.device))
        if x.shape[1] != self._channels:
            x = x.expand(-1, self._channels, -1, -1) if x.shape[1] == 1 else x.mean(dim=1, keepdim=True)
        if x.shape[-1] != self._size:
            x = functional.interpolate(x, size=(self._size, self._size), mode="bilinear", antialias=True)
        return x
