"""Batch normalisation with the statistics of the whole batch, where processes share it.

PyTorch's SyncBatchNorm does the same on GPUs only, and cannot leave out images that do not count.
"""

from __future__ import annotations

from types import MethodType

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from meddiff.training.distributed import SumOverProcesses


class SharedNorm:
    """Makes the batch normalisation of a network see the batches of all processes.

    Attributes:
        counts: whether the images of this process count in the next pass.
    """

    def __init__(self, network: nn.Module) -> None:
        """Change the normalisation layers of `network` in place; in eval mode they stay as they were."""
        self.counts = True
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.forward = MethodType(_forward, module)
                module.shared_norm = self

    def __deepcopy__(self, memo: dict) -> SharedNorm:
        return self


def _forward(module: _BatchNorm, x: Tensor) -> Tensor:
    if not module.training:
        return type(module).forward(module, x)
    x = _normalise(module, x, module.shared_norm.counts)
    # timm has layers that go on with these.
    for name in ("drop", "act"):
        if hasattr(module, name):
            x = getattr(module, name)(x)
    return x


def _normalise(module: _BatchNorm, x: Tensor, counts: bool) -> Tensor:
    values = x.float()
    axes = [0, *range(2, x.ndim)]
    shape = (1, -1, *(1,) * (x.ndim - 2))
    number = values.new_full((1,), values.numel() / values.shape[1])
    sums = SumOverProcesses.apply(torch.cat([values.sum(axes), number]) * float(counts))
    mean, total = sums[:-1] / sums[-1], sums[-1]
    centred = values - mean.reshape(shape)
    variance = SumOverProcesses.apply(centred.square().sum(axes) * float(counts)) / total
    _follow(module, mean.detach(), variance.detach() * total / (total - 1).clamp(min=1))
    normal = centred * torch.rsqrt(variance + module.eps).reshape(shape)
    if module.affine:
        normal = normal * module.weight.reshape(shape) + module.bias.reshape(shape)
    return normal.to(x.dtype)


@torch.no_grad()
def _follow(module: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics as PyTorch does."""
    if not module.track_running_stats:
        return
    module.num_batches_tracked.add_(1)
    weight = 1.0 / float(module.num_batches_tracked) if module.momentum is None else module.momentum
    module.running_mean.lerp_(mean, weight)
    module.running_var.lerp_(variance, weight)
