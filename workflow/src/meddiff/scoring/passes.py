"""Passes of (image, step) pairs through a network, as suits the device that it is on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meddiff.devices.autocast import autocast
from meddiff.devices.out_of_memory import Halving
from meddiff.devices.side_by_side import SideBySide
from meddiff.devices.transfer import fetch, to_device
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.errors import squared_errors, step_residuals
from meddiff.diffusion.evidence import evidence_maps
from meddiff.scoring.settings import ScoringSettings

_CPU_FILL = 8

Pairs = NDArray[np.int64]  # [P, 2]
Inputs = Callable[[Pairs], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Work:
    """A batch of pairs.

    Attributes:
        pairs: int64 [P, 2].
        runs: int64 [R], summing to P: of how many pairs in a row the sum of the evidence maps is wanted; None
            where no maps are.
    """

    pairs: Pairs
    runs: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Found:
    """What passes make of a batch.

    Attributes:
        errors: fp32 [P, K].
        maps: fp32 [R, K - 1, H, W], sums over runs of pairs (`meddiff.diffusion.evidence`); None where none
            are wanted.
    """

    errors: NDArray[np.float32]
    maps: NDArray[np.float32] | None = None


Fetched = Callable[[], Found]


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
    def begun(self, inputs: Inputs, settings: ScoringSettings) -> Iterator[Callable[[Work], Fetched]]:
        """Give a function that begins to evaluate a batch, and returns what waits for the result.

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

            def begin(work: Work) -> Fetched:
                def evaluate(pairs: Pairs) -> list[Tensor]:
                    x, keys, steps = inputs(self._filled(pairs))

                    def some(part: slice) -> list[Tensor]:
                        residuals = step_residuals(denoiser, x[part], keys[part], steps[part], levels)
                        maps = [] if work.runs is None else [evidence_maps(denoiser, residuals)]
                        return [squared_errors(residuals), *maps]

                    return [found[: len(pairs)] for found in _joined(side_by_side(some, len(x)))]

                errors, *maps = _joined(self._halving(evaluate, work.pairs))
                waits = [fetch(errors), *(fetch(_sums(found, work.runs)) for found in maps)]
                return lambda: Found(*(wait() for wait in waits))

            yield begin

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


def _joined(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Each tensor of all parts in a row."""
    return [torch.cat(tensors) for tensors in zip(*parts, strict=True)]


def _sums(maps: Tensor, runs: NDArray[np.int64]) -> Tensor:
    """[R, ...] sums of `maps` [P, ...] over `runs` [R] of them, in the same order on every device."""
    lengths = to_device(runs, maps.device)
    # unsafe: without a check of the lengths, for which the host would wait.
    sums = torch.segment_reduce(maps.flatten(1), "sum", lengths=lengths, axis=0, unsafe=True)
    return sums.unflatten(1, maps.shape[1:])
