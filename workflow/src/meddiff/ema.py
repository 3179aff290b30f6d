"""Exponential moving average of weights, with the warm-up of ema-pytorch."""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import nn

from meddiff.config.model import EMAConfig


class EMA:
    """A frozen copy of a model that follows it; always in eval mode.

    Attributes:
        model: the averaged copy.
    """

    def __init__(self, model: nn.Module, config: EMAConfig, plain: Collection[str] = ()) -> None:
        """Copy `model`; parameters named in `plain` are followed exactly instead of averaged."""
        self.config = config
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._plain = frozenset(plain)

    def decay(self, step: int) -> float:
        """Decay of the update after optimizer step `step` (counted from 1); 0 copies the weights."""
        age = step - self.config.update_after_step
        if age <= 0:
            return 0.0
        return min(self.config.beta, 1.0 - (1.0 + age / self.config.inv_gamma) ** -self.config.power)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Follow `model` after optimizer step `step`.

        Averages move every ``update_every`` steps only; plain parameters and buffers are always copied.
        """
        if step % self.config.update_every == 0:
            online = dict(model.named_parameters())
            averaged = {name: p for name, p in self.model.named_parameters() if name not in self._plain}
            weight = 1.0 - self.decay(step)
            torch._foreach_lerp_(list(averaged.values()), [online[name] for name in averaged], weight)
        self._copy_plain(model)

    @torch.no_grad()
    def _copy_plain(self, model: nn.Module) -> None:
        online = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        for name, value in (*self.model.named_parameters(), *self.model.named_buffers()):
            if name in self._plain or not isinstance(value, nn.Parameter):
                value.copy_(online[name])
