"""Passes of (image, step) pairs through a network, as suits the device that it is on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meddiff.devices.autocast import autocast
from meddiff.devices.out_of_memory import Halving
from meddiff.devices.side_by_side import SideBySide
from meddiff.devices.transfer import Fetch, fetch
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.errors import step_errors
from meddiff.scoring.settings import ScoringSettings

_CPU_FILL = 8

Pairs = NDArray[np.int64]  # [P, 2]
Inputs = Callable[[Pairs], tuple[Tensor, Tensor, Tensor]]


class Passes:
    """How a network evaluates batches of (image, step) pairs.

    Where memory runs out, batches are halved (`meddiff.devices.out_of_memory`) and stay so, in later calls
    too. On a CPU a batch is divided among the threads. A compiled network gets batches of one size only.

    Attributes:
        denoiser: on the device to compute on.
        device: that device.
        pairs: how many pairs make a batch, at least one.
        description: what is being done, for messages.
    """

    def __init__(self, denoiser: Denoiser, batch_size: int = 128, description: str = "scoring") -> None:
        """Prepare for `denoiser`.

        Args:
            batch_size: network inputs a pass (pairs x classes).
            description: what is being done, for messages.
        """
        self.denoiser, self.description = denoiser, description
        self.device = next(denoiser.parameters()).device
        self.pairs = max(1, batch_size // denoiser.num_classes)
        self._halving = Halving(self.pairs, self.device, description)

    @contextmanager
    def errors(self, inputs: Inputs, settings: ScoringSettings) -> Iterator[Callable[[Pairs], Fetch]]:
        """Give a function that begins to evaluate a batch, and returns what waits for its errors [P, K].

        Args:
            inputs: encoded images [P, C, H, W], noise keys [P, 2] and numbers of steps [P] of pairs.
            settings: of them the noise levels and the precision.

        Raises:
            MeddiffError: from the function, if there is not enough memory for one pair.
        """
        denoiser, levels = self.denoiser, settings.noise_levels

        def mode() -> AbstractContextManager[object]:
            return autocast(self.device, settings.precision)

        with torch.inference_mode(), mode(), SideBySide(self.device, mode) as side_by_side:

            def evaluate(pairs: Pairs) -> Tensor:
                x, keys, steps = inputs(self._filled(pairs))

                def errors(part: slice) -> Tensor:
                    return step_errors(denoiser, x[part], keys[part], steps[part], levels)

                return torch.cat(side_by_side(errors, len(x)))[: len(pairs)]

            yield lambda batch: fetch(torch.cat(self._halving(evaluate, batch)))

    def fill(self) -> int | None:
        """Up to how many pairs a batch is filled with steps that may not be needed; None for all.

        An accelerator needs as long for half a batch as for a whole one. On a CPU time goes by the number of
        pairs, but for the smallest batches, and for compiled networks, whose batches have one size.
        """
        return _CPU_FILL if self.device.type == "cpu" and not self.denoiser.is_compiled else None

    def ahead(self, settings: ScoringSettings) -> int:
        """How many batches are queued while the result of one is waited for.

        With a stopping rule none can be: which pairs come next depends on the result.
        """
        return 1 if self.device.type == "cuda" and settings.stopping is None else 0

    def _filled(self, pairs: Pairs) -> Pairs:
        """`pairs`; for a compiled network with the last one repeated until the batch is full.

        A batch of another size would be compiled again, and recorded again as a CUDA graph.
        """
        if not self.denoiser.is_compiled:
            return pairs
        return np.concatenate([pairs, np.repeat(pairs[-1:], self._halving.size - len(pairs), axis=0)])
