"""How many network inputs a pass has where the user names no number."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch

from meddiff.diffusion.denoiser import Denoiser
from meddiff.scoring.passes import Passes
from meddiff.scoring.score import score
from meddiff.scoring.settings import ScoringSettings

log = logging.getLogger("meddiff")

# On a CPU more make a pass no faster once its activations leave the caches, and fewer make it slower.
CPU_PIXELS = 256 * 32 * 32
CPU_LEAST_INPUTS, CPU_MOST_INPUTS = 16, 256
MOST_INPUTS = 1024
_PROBE_INPUTS = 16
# The rest is for fragmentation, and for kernels that want more working memory with larger batches.
_SHARE_OF_FREE = 0.7


def fitting_inputs(used: int, inputs: int, free: int) -> int:
    """The number of network inputs a pass, a power of two, whose memory is a safe share of what is free.

    Args:
        used: bytes that a pass took beyond what was there before.
        inputs: network inputs of that pass.
        free: bytes that a pass may take.

    Returns:
        1 to `MOST_INPUTS`.
    """
    fitting = int(_SHARE_OF_FREE * free * inputs / max(used, 1))
    return 1 << (min(max(fitting, 1), MOST_INPUTS).bit_length() - 1)


def automatic_batch_size(denoiser: Denoiser, image_shape: Sequence[int], precision: str) -> int:
    """Network inputs a pass for `denoiser` on its device.

    On a CUDA device from the memory that one small pass takes, with other images for every input; elsewhere
    as many as have `CPU_PIXELS` together.

    Args:
        denoiser: on the device to compute on.
        image_shape: (height, width, channels) of stored images.
        precision: as in `meddiff.scoring.settings.ScoringSettings`.

    Raises:
        MeddiffError: if one image does not fit into the memory.
    """
    device = next(denoiser.parameters()).device
    if device.type != "cuda":
        pixels = image_shape[0] * image_shape[1]
        return min(max(CPU_PIXELS // pixels, CPU_LEAST_INPUTS), CPU_MOST_INPUTS)
    images = np.zeros((max(1, _PROBE_INPUTS // denoiser.num_classes), *image_shape), dtype=np.uint8)
    inputs = len(images) * denoiser.num_classes
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    # A compiled network would be compiled, or recorded as a CUDA graph, for the size of this pass only.
    with torch.compiler.set_stance("force_eager"):
        score(
            Passes(denoiser, inputs, "measuring memory"),
            images,
            [str(row) for row in range(len(images))],
            ScoringSettings(seed=0, steps=1, precision=precision),
        )
    used = torch.cuda.max_memory_allocated(device) - before
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    chosen = fitting_inputs(used, inputs, free)
    log.info(
        "batch size: %d network inputs (%.1f MiB each, %.1f GiB free)",
        chosen,
        used / inputs / 2**20,
        free / 2**30,
    )
    return chosen
