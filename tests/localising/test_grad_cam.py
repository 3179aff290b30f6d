"""Grad-CAM of the baselines' kinds of network, against its formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from meddiff.config.load import load_model
from meddiff.diffusion.pixels import to_unit_range
from meddiff.localising.grad_cam import grad_cam, layer_names
from meddiff.networks.classifier import TimmClassifier

IMAGES = np.random.default_rng(0).integers(0, 256, size=(3, 32, 32, 1), dtype=np.uint8)
LABELS = [0, 1, 1]


def classifier(name: str) -> TimmClassifier:
    torch.manual_seed(0)
    config = load_model(name, "phantom_chest", "fixed", Path("config"))
    return TimmClassifier(config, 2, 1, 32).eval()


def test_convolutions_by_the_formula():
    """Weights are the mean gradients of channels, and what is positive of their sum is shown."""
    model = classifier("tiny_resnet")
    features = []
    hook = model.backbone.layer2.register_forward_hook(lambda _, __, output: features.append(output))
    logits = model(to_unit_range(torch.from_numpy(IMAGES)))
    hook.remove()
    chosen = logits[torch.arange(3), torch.tensor(LABELS)].sum()
    (gradient,) = torch.autograd.grad(chosen, features[0])
    weighted = (gradient.mean(dim=(2, 3), keepdim=True) * features[0]).sum(dim=1, keepdim=True).relu()
    expected = functional.interpolate(weighted, (32, 32), mode="bilinear")[:, 0].detach().numpy()
    np.testing.assert_allclose(grad_cam(model, IMAGES, LABELS, "layer2"), expected, rtol=1e-4, atol=1e-7)
    assert expected.max() > 0


@pytest.mark.parametrize(("name", "layers"), [("tiny_resnet", 5), ("tiny_vit", 4)])
def test_every_layer_has_a_map_and_the_model_is_left_as_it_was(name, layers):
    model = classifier(name)
    pixels = to_unit_range(torch.from_numpy(IMAGES))
    before, modules = model(pixels), [module for module, _ in model.named_modules()]
    names = layer_names(model)
    assert len(names) == layers
    for layer in names:
        maps = grad_cam(model, IMAGES, LABELS, layer)
        assert maps.shape == (3, 32, 32) and maps.dtype == np.float32 and (maps >= 0).all()
        assert maps.any(), f"{layer} reaches the output"
    assert [module for module, _ in model.named_modules()] == modules
    torch.testing.assert_close(model(pixels), before)
