"""The paper's classification procedure, written plainly: what meddiff's scoring is measured against.

Every image is decoded and transformed by itself (`reference_data`). A batch of images is then
noised N times; each time the network is asked about one class after another, and the class with the lowest
error gets a vote. Nothing is stored in advance, nothing stops early, and classes share no work.

Two things are not the authors': weights are meddiff's, so that both sides run the same network, and noise
comes from `meddiff.diffusion.noise`, so that decisions can be compared image by image.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from meddiff.diffusion.noise import STREAM_EPS, STREAM_T, noise_keys, normal, uniform
from meddiff.networks.pixel_denoiser import PixelDenoiser
from reference_data import transform, wavelet
from reference_network import trained


def load_image(path: Path, size: int, channels: int, haar: bool) -> Tensor:
    """One image as the network takes it.

    Returns:
        fp32 [C, size, size] in [-1, 1], or its Haar coefficients [4 C, size / 2, size / 2].
    """
    image = transform(size)(Image.open(path).convert("L" if channels == 1 else "RGB"))
    return wavelet(image) if haar else image


@torch.no_grad()
def classify(
    denoiser: PixelDenoiser,
    files: Sequence[Path],
    image_ids: Sequence[str],
    seed: int,
    steps: int,
    batch: int,
) -> np.ndarray:
    """Majority vote of the diffusion classifier, by all `steps` and one class after another.

    Args:
        denoiser: in eval mode.
        files: image files.
        image_ids: their ids, which the noise depends on.
        seed: of the noise.
        steps: N.
        batch: images at once; the paper's scripts take 128.

    Returns:
        [I] class index; a tie goes to the tied class with the lower mean error.
    """
    size = denoiser.input_shape[1] * (2 if denoiser.wavelet else 1)
    channels = denoiser.input_shape[0] // (4 if denoiser.wavelet else 1)
    decisions = []
    for start in range(0, len(files), batch):
        part = files[start : start + batch]
        x = torch.stack([load_image(file, size, channels, denoiser.wavelet) for file in part])
        keys = noise_keys(seed, image_ids[start : start + batch])
        votes = torch.zeros(len(x), denoiser.num_classes)
        total = torch.zeros(len(x), denoiser.num_classes, dtype=torch.float64)
        for step in range(steps):
            index = torch.full((len(x),), step)
            t = uniform(keys, index, 1, STREAM_T)[:, 0]
            eps = normal(keys, index, x.shape[1:], STREAM_EPS)
            logsnr = denoiser.schedule.logsnr(t)
            alpha, sigma = (torch.sigmoid(s * logsnr).sqrt().reshape(-1, 1, 1, 1) for s in (1, -1))
            z = alpha * x + sigma * eps
            errors = []
            for c in range(denoiser.num_classes):
                eps_hat = denoiser.predict_eps(z, logsnr, torch.full((len(x),), c))
                errors.append((eps_hat - eps).square().flatten(1).sum(dim=1))
            error = torch.stack(errors, dim=1)
            votes[torch.arange(len(x)), error.argmin(dim=1)] += 1
            total += error
        tied = votes == votes.max(dim=1, keepdim=True).values
        decisions.append(torch.where(tied, total, torch.inf).argmin(dim=1))
    return torch.cat(decisions).numpy()


def timed(weights_dir: Path, *arguments: Any) -> tuple[float, np.ndarray]:
    """Wall-clock seconds and result of `classify` for the network in `weights_dir`, which is loaded before.

    Args:
        arguments: of `classify`, but for the network.
    """
    network = trained(weights_dir)
    started = time.perf_counter()
    decisions = classify(network, *arguments)
    return time.perf_counter() - started, decisions
