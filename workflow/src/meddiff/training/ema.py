"""Exponential moving average of weights, with the warm-up of ema-pytorch."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

from meddiff.config.schema.training import EMAConfig


class EMA:
    """A frozen copy of a model that follows it; always in eval mode.

    Attributes:
        model: the averaged copy.
    """

    def __init__(self, model: nn.Module, config: EMAConfig, plain: Collection[str] = ()) -> None:
        """Copy `model`; parameters named in `plain` are followed exactly instead of averaged.

        Tensors are paired here, once: later on, `model` and the copy may change the values of their
        parameters and buffers (training, ``load_state_dict``), but must keep the tensors.
        """
        self.config = config
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        parameters = zip(self.model.named_parameters(), model.parameters(), strict=True)
        buffers = zip(self.model.buffers(), model.buffers(), strict=True)
        averaged, copied = [], list(buffers)
        for (name, own), online in parameters:
            (copied if name in plain else averaged).append((own, online))
        self._averaged, self._copied = _by_type(averaged), _by_type(copied)

    def decay(self, step: int) -> float:
        """Decay of the update after optimizer step `step` (counted from 1); 0 copies the weights.

        ema-pytorch and diffusers both look at the number of the steps before, and copy after the first.
        """
        age = step - 1 - self.config.update_after_step
        if step == 1 or age <= 0:
            return 0.0
        return min(self.config.beta, 1.0 - (1.0 + age / self.config.inv_gamma) ** -self.config.power)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the model after optimizer step `step`.

        Averages move after the first step and every ``update_every`` steps from there; plain parameters and
        buffers are always copied.
        """
        if (step - 1) % self.config.update_every == 0:
            weight = 1.0 - self.decay(step)
            for averaged, online in self._averaged:
                torch._foreach_lerp_(averaged, online, weight)
        for followed, online in self._copied:
            torch._foreach_copy_(followed, online)


def _by_type(pairs: Iterable[tuple[Tensor, Tensor]]) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Lists of tensors of one type, which take one kernel each on a GPU."""
    found: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for own, online in pairs:
        lists = found.setdefault(own.dtype, ([], []))
        lists[0].append(own)
        lists[1].append(online)
    return list(found.values())
