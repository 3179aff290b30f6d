"""How this process's memory is managed on the host."""

from __future__ import annotations

import ctypes
from functools import cache

# Names and numbers of glibc's malloc.h; see mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 << 20
_LARGEST_INT = (1 << 31) - 1


@cache
def keep_freed_memory() -> bool:
    """Let freed memory serve the next allocations instead of returning it to the operating system.

    Networks on a CPU allocate and free the same arrays in every pass. glibc returns large ones at once and
    asks for them anew, and the system then clears every page again at its first use: several percent of a
    training step, and half of the time of turning pixels of 256 px into network input. The process keeps what
    it needed at its peak, so the peak itself hardly changes. Arrays above 32 MiB are still returned.

    Returns:
        Whether the C library took the settings; other libraries than glibc are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no mallopt; TypeError: Windows needs a name
        return False
    settings = ((_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), (_M_TRIM_THRESHOLD, _LARGEST_INT))
    return all(mallopt(name, value) == 1 for name, value in settings)
