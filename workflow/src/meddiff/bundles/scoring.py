"""Ask a network about images in memory: errors up to where each image stops, logits, and evidence maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from meddiff.bundles.usage import Scoring
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.devices.autocast import autocast
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.errors import step_residuals
from meddiff.diffusion.evidence import evidence_maps
from meddiff.diffusion.noise import noise_keys
from meddiff.diffusion.step_order import in_order
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.errors import MeddiffError
from meddiff.scoring.batch_size import automatic_batch_size
from meddiff.scoring.passes import Passes
from meddiff.scoring.score import score
from meddiff.scoring.settings import ScoringSettings


@dataclass(frozen=True)
class Scored:
    """Errors of images.

    Attributes:
        errors: fp32 [I, S, K], NaN where not evaluated: after the step at which an image stopped.
        logsnr: fp32 [I, S].
    """

    errors: np.ndarray
    logsnr: np.ndarray


def score_images(
    denoiser: Denoiser,
    images: np.ndarray,
    image_ids: Sequence[str],
    scoring: Scoring,
    stopping: StoppingConfig,
) -> Scored:
    """Errors of images, as scoring a split makes them (`meddiff.scoring.run`), but kept nowhere.

    Args:
        denoiser: in eval mode, on the device to compute on.
        images: uint8 [I, H, W, C].
        image_ids: the I ids, of which the noise is a function.
        scoring: seed, steps, noise levels and precision.
        stopping: when an image stops.

    Raises:
        MeddiffError: if an error is not finite, or one image does not fit into memory.
    """
    rule = make_rule(stopping, scoring.steps, denoiser.num_classes)
    settings = ScoringSettings(scoring.seed, scoring.steps, scoring.noise_levels, scoring.precision)
    batch_size = automatic_batch_size(denoiser, images.shape[1:], scoring.precision)
    settings = replace(settings, stopping=rule, order=stopping.order)
    found = score(Passes(denoiser, batch_size, "classifying"), images, image_ids, settings)
    errors = found.errors
    if rule is not None:
        used = stopping_steps(in_order(errors, found.order), rule)
        errors = cut(errors, used, found.order)
    if np.isinf(errors).any():
        raise MeddiffError(f"errors are infinite with precision {scoring.precision!r}; try 'fp32' or 'bf16'")
    return Scored(errors, found.logsnr)


def evidence_of(
    denoiser: Denoiser, image: np.ndarray, image_id: str, scoring: Scoring, errors: np.ndarray
) -> np.ndarray:
    """Mean evidence maps over the steps that an image has used (`meddiff.scoring.evidence_file`).

    Args:
        denoiser, scoring: as of `score_images`.
        image: uint8 [H, W, C].
        errors: [S, K] of the image, from there.

    Returns:
        float64 [K - 1, height, width]: how much worse each class but the first predicts the noise.
    """
    device = next(denoiser.parameters()).device
    steps = torch.from_numpy(np.flatnonzero(np.isfinite(errors).all(axis=1)))
    size = max(1, automatic_batch_size(denoiser, image.shape, scoring.precision) // denoiser.num_classes)
    total: torch.Tensor | float = 0.0
    with torch.inference_mode():
        x = denoiser.encode_pixels(torch.from_numpy(np.array(image[None])).to(device))
        key = noise_keys(scoring.seed, [image_id]).to(device)
        for some in steps.split(size):
            n = len(some)
            with autocast(device, scoring.precision):
                inputs = x.expand(n, *x.shape[1:]), key.expand(n, 2), some.to(device)
                residuals = step_residuals(denoiser, *inputs, scoring.noise_levels)
                maps = evidence_maps(denoiser, residuals)
            total = total + maps.double().sum(dim=0)
    return (total / len(steps)).cpu().numpy()
