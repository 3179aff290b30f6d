"""Evidence maps are the errors' differences, pixel by pixel."""

from __future__ import annotations

import pytest
import torch

from core_samples import SIDE, tiny_config
from meddiff.diffusion.errors import residuals, squared_errors
from meddiff.diffusion.evidence import evidence_maps, map_size
from meddiff.diffusion.haar import haar_transform
from meddiff.models.spec import ModelSpec

IMAGES = 5


@pytest.mark.parametrize("kind", ["unet", "dit"])
@pytest.mark.parametrize(
    ("classes", "channels", "wavelet"), [(2, 1, True), (3, 3, True), (4, 1, False)], ids=str
)
def test_sums_of_maps_are_differences_of_errors(kind, classes, channels, wavelet):
    torch.manual_seed(0)
    own = {"adaln_zero_init": False} if kind == "dit" else {}  # an untrained DiT sees no class with it
    model = tiny_config(kind, wavelet=wavelet, **own)
    denoiser = ModelSpec(model, num_classes=classes, channels=channels, image_size=SIDE).build().eval()
    x = denoiser.encode(torch.rand(IMAGES, channels, SIDE, SIDE) * 2 - 1)
    with torch.inference_mode():
        found = residuals(denoiser, x, torch.rand(IMAGES), torch.randn(x.shape))
        maps, errors = evidence_maps(denoiser, found), squared_errors(found).double()
    assert maps.shape == (IMAGES, classes - 1, SIDE, SIDE) and map_size(denoiser) == (SIDE, SIDE)
    assert denoiser.evidence_space == "pixel"
    difference = errors[:, 1:] - errors[:, :1]
    assert difference.abs().min() > 0
    off = (maps.double().sum(dim=(2, 3)) - difference).abs() / errors.mean(dim=1, keepdim=True)
    assert off.max() < 1e-6


def test_evidence_lies_where_the_prediction_differs():
    """Class 1 predicts nothing, class 0 the noise in one pixel: only there is evidence for it."""
    denoiser = ModelSpec(tiny_config("unet"), num_classes=2, channels=1, image_size=SIDE).build()
    eps = torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    predicted = torch.zeros_like(eps)
    predicted[..., 3, 5] = eps[..., 3, 5]
    # Twice the coefficients of the halved transform: the noise of a denoiser is of variance 1 in its space.
    pair = [2 * haar_transform(image - eps) for image in (predicted, torch.zeros_like(eps))]
    found = evidence_maps(denoiser, torch.stack(pair))[0, 0]
    expected = torch.zeros(SIDE, SIDE)
    expected[3, 5] = eps[0, 0, 3, 5] ** 2
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
