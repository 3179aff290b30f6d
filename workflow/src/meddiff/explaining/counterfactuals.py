"""Counterfactuals of stored images, and how networks judge images: functions of arrays in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from meddiff.devices.autocast import autocast
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.noise import STREAM_SAMPLER, noise_keys, normal
from meddiff.diffusion.sample import Sampling, counterfactual
from meddiff.errors import MeddiffError


def edit_images(
    denoiser: Denoiser,
    images: np.ndarray,
    noise_names: Sequence[str],
    targets: Sequence[int],
    sampling: Sampling,
    seed: int,
    *,
    precision: str = "fp32",
    on_step: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Each image as it would look as its target class, in one batch.

    The noise of an image is a function of (`seed`, its name, step): two targets of one image differ by the
    class only, whatever batch they are in.

    Args:
        denoiser: in eval mode, on the device to compute on.
        images: uint8 [N, H, W, C].
        noise_names: N names.
        targets: N class indices.
        sampling: how to noise and denoise.
        seed: of the noise.
        precision: of the network, ``fp32``, ``fp16`` or ``bf16``.
        on_step: see `meddiff.diffusion.sample.sample`.

    Returns:
        uint8 [N, H, W, C]: values are clamped to [-1, 1] and rounded once.

    Raises:
        MeddiffError: if a value is NaN or infinite.
    """
    device = next(denoiser.parameters()).device
    keys = noise_keys(seed, noise_names).to(device)

    def draw_noise(step: int) -> Tensor:
        steps_of_all = torch.full((len(keys),), step, device=device)
        return normal(keys, steps_of_all, denoiser.input_shape, STREAM_SAMPLER)

    with torch.inference_mode():
        x = denoiser.encode_pixels(torch.from_numpy(np.array(images)).to(device))
        with autocast(device, precision):
            class_ids = torch.tensor(targets, device=device)
            edited = counterfactual(denoiser, x, class_ids, sampling, draw_noise, on_step)
        decoded = denoiser.decode(edited).float()
    if not torch.isfinite(decoded).all():
        raise MeddiffError(
            f"counterfactuals are not finite; with counterfactuals.precision {precision!r} try 'bf16' or "
            "'fp32'"
        )
    return to_uint8(decoded)


def to_uint8(images: Tensor) -> np.ndarray:
    """Images [N, C, H, W] in [-1, 1] (beyond is clamped) to stored ones, uint8 [N, H, W, C]."""
    pixels = images.clamp(-1.0, 1.0).add(1.0).mul(127.5).round()
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
