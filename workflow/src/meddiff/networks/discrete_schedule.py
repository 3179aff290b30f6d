"""The noise levels of models that were trained on a table of them, as Stable Diffusion was."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor

# As published, classification leaves out the two ends of the table.
_ENDS = 1


class DiscreteSchedule:
    """Noise levels 0 ... T - 1 of diffusers' DDPM tables, behind a continuous time t in [0, 1].

    t is divided into equal parts, one a level: a uniform t makes a uniform level. Classification and
    sampling use levels 1 ... T - 2, training all of them (spec of the published implementation).

    Attributes:
        table: logSNR of every level, fp32 [T], falling.
    """

    def __init__(self, scheduler: dict[str, Any]) -> None:
        """Take betas and their number from a ``scheduler_config.json``."""
        alphas_cumprod = DDPMScheduler.from_config(scheduler).alphas_cumprod.double()
        self.table = torch.log(alphas_cumprod / (1.0 - alphas_cumprod)).float()

    def logsnr(self, t: Tensor) -> Tensor:
        """LogSNR at `t` for classification and sampling; same shape, fp32."""
        return self._at(t, _ENDS, len(self.table) - 1 - _ENDS)

    def training_logsnr(self, t: Tensor) -> Tensor:
        """LogSNR at `t` for training; same shape, fp32."""
        return self._at(t, 0, len(self.table) - 1)

    def level(self, logsnr: Tensor) -> Tensor:
        """The level whose logSNR is nearest, int64, same shape: what the network is told."""
        rising = self.table.to(logsnr.device).flip(0)
        middles = (rising[1:] + rising[:-1]) / 2.0
        return len(rising) - 1 - torch.bucketize(logsnr.float().contiguous(), middles)

    def _at(self, t: Tensor, first: int, last: int) -> Tensor:
        level = first + (t.double() * (last - first + 1)).long()
        return self.table.to(t.device)[level.clamp(first, last)]
