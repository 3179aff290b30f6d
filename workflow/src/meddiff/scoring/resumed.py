"""Scoring that goes on from errors on disk and leaves the complete ones there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.step_order import in_order
from meddiff.diffusion.stopping import Rule, stopping_steps, used_steps
from meddiff.errors import MeddiffError
from meddiff.scoring.partial_errors import PartialErrors
from meddiff.scoring.score import Images, score


@dataclass(frozen=True)
class ResumedScore:
    """Errors, and what was done for them.

    Attributes:
        errors: fp32 [I, S, K], finite for the steps that are used.
        used: [I] number of steps after which each image stops.
        scored: number of (image, step) pairs that were not there before.
        wasted: how many of these come after the step at which their image stops.
    """

    errors: np.ndarray
    used: np.ndarray
    scored: int
    wasted: int


def resumed_score(
    denoiser: Denoiser,
    images: Images,
    image_ids: Sequence[str],
    partial: PartialErrors,
    *,
    steps: int,
    precision: str,
    rule: Rule | None = None,
    order: np.ndarray | None = None,
    model: str,
    setting: str,
    **settings: Any,
) -> ResumedScore:
    """Complete the errors in `partial`.

    Args:
        denoiser, images, image_ids, steps, precision: see `meddiff.scoring.score.score`.
        partial: where the errors are kept.
        rule: where images stop; None evaluates all steps.
        order: [I, S] of their steps, see `meddiff.scoring.score.score`.
        model, setting: names of the weights and of the key that sets `precision`, for a message.
        settings: others of `score`.

    Raises:
        Interrupted: when asked to stop; the partial result is saved.
        CheckpointError: if partial results are damaged or cannot be saved.
        MeddiffError: if an error that is used is not finite, or one image does not fit into memory.
    """
    known = partial.load(len(image_ids), steps, denoiser.num_classes)
    before = np.isfinite(known).all(axis=2)
    errors, _ = score(
        denoiser,
        images,
        image_ids,
        steps=steps,
        precision=precision,
        errors=known,
        stopping=rule,
        order=order,
        on_batch=partial.on_batch,
        **settings,
    )
    used = stopping_steps(in_order(errors, order), rule) if rule else np.full(len(image_ids), steps)
    needed = used_steps(used, steps, order)
    finite = np.isfinite(errors).all(axis=2)
    if not finite[needed].all():
        raise MeddiffError(
            f"{model}: some noise-prediction errors are not finite; with {setting} {precision!r} try 'bf16' "
            "or 'fp32'"
        )
    new = finite & ~before
    if new.any():
        partial.save(errors)
    return ResumedScore(errors, used, int(new.sum()), int((new & ~needed).sum()))
