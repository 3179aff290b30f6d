"""How much memory a training on this machine may use."""

from __future__ import annotations

import os

_GIB = 1 << 30
_UNKNOWN = 8.0  # GiB


def training_memory() -> tuple[bool, float]:
    """Whether there is a GPU, and the GiB of the first one; without one, those of main memory."""
    import torch

    if torch.cuda.is_available():
        return True, torch.cuda.get_device_properties(0).total_memory / _GIB
    try:
        return False, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    except (ValueError, OSError, AttributeError):  # not every system says it
        return False, _UNKNOWN
