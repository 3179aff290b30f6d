"""What defines the noise-prediction errors of images, beside the images and the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np


class Stopping(Protocol):
    """How many steps images need; `meddiff.diffusion.stopping.Rule` says more."""

    def wanted(self, errors: np.ndarray, known: np.ndarray) -> np.ndarray:
        """[I] steps that each image needs at least; decided where that is not above `known` [I]."""


@dataclass(frozen=True)
class ScoringSettings:
    """What an experiment says about scoring.

    Attributes:
        seed: of noise and noise levels.
        steps: number of classification steps S.
        noise_levels: ``uniform``, ``low_discrepancy`` or ``antithetic``, see
            `meddiff.diffusion.noise.noise_levels`.
        precision: ``fp32``, or ``fp16`` / ``bf16`` for the network's body; errors are fp32.
        stopping: where images stop, for S steps; None evaluates all steps of all images.
        order: in which an image's steps are evaluated and `stopping` sees them: as ``drawn``, by their
            number, or ``spread`` (`meddiff.diffusion.step_order`).
    """

    seed: int
    steps: int
    noise_levels: str = "uniform"
    precision: str = "fp32"
    stopping: Stopping | None = None
    order: Literal["drawn", "spread"] = "drawn"
