"""The losses of an epoch, and when they say that training has diverged."""

from __future__ import annotations

import torch
from torch import Tensor

from meddiff.errors import MeddiffError

MOST_SKIPPED = 50
"""Steps in a row after which a gradient scaler, that has halved its scale as often, is not going to help."""

_ADVICE = "lower train.lr, lengthen train.warmup_steps, or set train.mixed_precision to 'bf16' or 'no'"


class Losses:
    """Sum of the losses of the current epoch's steps.

    In fp16 a loss or a gradient may overflow now and then. The gradient scaler then skips the step and
    lowers its scale, so a loss that is not finite is left out here. Without a scaler such a loss has spoilt
    the weights, and training ends.

    Attributes:
        sum: fp32 scalar.
        skips: int64 [2], losses of the epoch that are left out, and steps skipped in a row until now.
    """

    def __init__(self, device: torch.device, *, skipping: bool) -> None:
        """Begin with no step.

        Args:
            device: where the losses are. Nothing waits for it but `check` and `mean`.
            skipping: whether a gradient scaler skips steps.
        """
        self.sum = torch.zeros((), device=device)
        self.skips = torch.zeros(2, dtype=torch.int64, device=device)
        self._skipping = skipping

    def add(self, loss: Tensor, skipped: Tensor | None) -> None:
        """Count the loss of a step, a scalar; `skipped` (bool scalar) is given where there is a scaler."""
        if skipped is None:
            self.sum += loss
            return
        finite = loss.isfinite()
        self.sum += torch.where(finite, loss, 0.0)
        self.skips[0] += ~finite
        self.skips[1] = torch.where(skipped, self.skips[1] + 1, 0)

    def check(self, step: int, most_skipped: int = MOST_SKIPPED) -> None:
        """Look whether training goes on well.

        Args:
            step: the last one that was made, counted from 0.
            most_skipped: so many steps skipped in a row are too many.

        Raises:
            MeddiffError: if it does not.
        """
        if not self._skipping:
            if not self.sum.isfinite():
                raise MeddiffError(f"the loss became NaN or infinite by step {step + 1}; {_ADVICE}")
        elif (skipped := int(self.skips[1])) >= most_skipped:
            raise MeddiffError(
                f"the loss or its gradient was NaN or infinite in the last {skipped} steps, up to step "
                f"{step + 1}; {_ADVICE}"
            )

    def mean(self, steps: int) -> dict[str, float]:
        """Mean ``loss`` of the `steps` of the epoch and, if some do not count, how many were ``skipped``.

        There is no ``loss`` if none counts.
        """
        skipped = int(self.skips[0]) if self._skipping else 0
        record = {"loss": self.sum.item() / (steps - skipped)} if skipped < steps else {}
        return record | ({"skipped": skipped} if skipped else {})

    def begin_epoch(self) -> None:
        """Forget the losses; steps that are skipped in a row are counted on."""
        self.sum.zero_()
        self.skips[0] = 0
