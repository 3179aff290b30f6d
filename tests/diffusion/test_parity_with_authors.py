"""Our numbers against those recorded from the authors' code."""

from __future__ import annotations

import json

import numpy as np
import pytest
import pywt
import torch

from meddiff.config import load_model, parse_model
from meddiff.diffusion.errors import classification_errors
from meddiff.diffusion.haar import haar_transform, inverse_haar_transform
from meddiff.diffusion.objective import diffusion_loss
from meddiff.diffusion.sample import Sampling, counterfactual
from meddiff.diffusion.schedule import ShiftedCosineSchedule
from meddiff.diffusion.vote import majority, mean
from meddiff.models.kinds import build_model
from meddiff.weights.official import load_official_diffusion


@pytest.fixture(scope="module")
def golden(official):
    with np.load(official / "unet-checkpoint" / "golden.npz") as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture(scope="module")
def config(official):
    document = json.loads((official / "unet-checkpoint" / "config.json").read_text())
    architecture = document["model"]
    for computed in ("sample_size", "in_channels", "out_channels"):
        architecture.pop(computed)
    return parse_model(
        {
            "title": "the authors' tiny UNet",
            "family": "diffusion",
            "kind": "unet",
            "architecture": architecture,
            "schedule": {"image_size": document["image_size"], "noise_size": document["noise_d"]},
            "train": {"epochs": 1},
            "loss_weight": "official",
            "embedding_outside": True,
        }
    )


def _denoiser(config, official, *, ema):
    denoiser = build_model(config, num_classes=2, channels=3, image_size=64).eval()
    load_official_diffusion(official / "unet-checkpoint", denoiser, ema=ema)
    return denoiser


def test_schedule(golden, config):
    schedule = ShiftedCosineSchedule(**config.schedule.model_dump())
    logsnr = schedule.logsnr(torch.from_numpy(golden["schedule_t"]))
    np.testing.assert_allclose(logsnr.numpy(), golden["schedule_logsnr"], atol=1e-4)


def test_schedule_of_the_paper():
    logsnr = ShiftedCosineSchedule(image_size=256, noise_size=64).logsnr(
        torch.tensor([0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1])
    )
    expected = [10.841, 5.40, 0.900, -1.014, -2.774, -4.536, -6.456, -11.05, -19.159]
    np.testing.assert_allclose(logsnr.numpy(), expected, atol=6e-3)


def test_haar(golden):
    images = torch.from_numpy(golden["images"])
    coefficients = haar_transform(images)
    np.testing.assert_allclose(coefficients.numpy(), golden["wavelet"], atol=1e-6)
    for channel in range(3):
        average, details = pywt.dwt2(golden["images"][:, channel], "haar")
        bands = np.stack([average, *details], axis=1) / 2
        np.testing.assert_allclose(coefficients[:, 4 * channel : 4 * channel + 4].numpy(), bands, atol=1e-6)
    np.testing.assert_allclose(inverse_haar_transform(coefficients).numpy(), golden["images"], atol=1e-6)


def test_loss(golden, config, official):
    denoiser = _denoiser(config, official, ema=False)
    with torch.no_grad():
        loss = diffusion_loss(
            denoiser,
            haar_transform(torch.from_numpy(golden["images"])),
            torch.from_numpy(golden["labels"]).long(),
            torch.from_numpy(golden["loss_t"]),
            torch.from_numpy(golden["loss_eps"]),
            config.loss_weight,
        ).mean()
    assert loss.item() == pytest.approx(float(golden["loss"]), rel=1e-5)


def test_errors_and_decisions(golden, config, official):
    denoiser = _denoiser(config, official, ema=True)
    x = haar_transform(torch.from_numpy(golden["images"]))
    with torch.no_grad():
        errors = torch.stack(
            [
                classification_errors(denoiser, x, torch.from_numpy(t), torch.from_numpy(eps))
                for t, eps in zip(golden["t"], golden["eps"], strict=True)
            ],
            dim=1,
        ).numpy()  # [image, step, class]
    np.testing.assert_allclose(errors, golden["errors"].transpose(0, 2, 1), rtol=1e-4)
    np.testing.assert_array_equal(majority(errors), golden["majority"])
    np.testing.assert_array_equal(mean(errors), golden["mean"])


def test_published_counterfactuals(golden, config, official):
    denoiser = _denoiser(config, official, ema=True)
    noise = iter(torch.from_numpy(golden["cf_noise"]))
    with torch.no_grad():
        output = counterfactual(
            denoiser,
            haar_transform(torch.from_numpy(golden["images"])),
            torch.from_numpy(golden["cf_target"]).long(),
            Sampling(from_t=0.5, steps=8, cfg_scale=1 + 4.5, extra_last_step=True),
            lambda step: next(noise),
        )
    np.testing.assert_allclose(output.numpy(), golden["cf_output"], atol=1e-4)


@pytest.mark.parametrize(("name", "millions"), [("unet", 275.84), ("dit_b4", 147.70)])
def test_parameter_counts_of_the_paper(name, millions, root):
    with torch.device("meta"):
        model = build_model(load_model(name, "isic", "official", root / "config"), 2, 3, 256)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == millions
