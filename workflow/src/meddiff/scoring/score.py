"""Noise-prediction errors of a diffusion classifier: the tensor [image, step, class]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from meddiff.devices.autocast import autocast
from meddiff.devices.out_of_memory import Halving
from meddiff.devices.side_by_side import SideBySide
from meddiff.devices.transfer import Fetch, evaluated, fetch, to_device
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.errors import step_errors
from meddiff.diffusion.noise import noise_keys, noise_levels
from meddiff.diffusion.step_order import in_order
from meddiff.progress import track
from meddiff.scoring.work_queue import Stopping, WorkQueue

_CPU_FILL = 8


class Images(Protocol):
    """Images that need not be in memory: a NumPy array or memmap, or something that reads them."""

    def __getitem__(self, rows: list[int]) -> np.ndarray:
        """uint8 [R, H, W, C]."""


def score(
    denoiser: Denoiser,
    images: Images,
    image_ids: Sequence[str],
    *,
    seed: int,
    steps: int,
    levels: str = "uniform",
    batch_size: int = 128,
    precision: str = "fp32",
    errors: np.ndarray | None = None,
    stopping: Stopping | None = None,
    order: np.ndarray | None = None,
    on_batch: Callable[[np.ndarray], None] | None = None,
    in_parts: Halving | None = None,
    description: str = "scoring",
) -> tuple[np.ndarray, np.ndarray]:
    """Errors of all images at all steps and for all classes.

    The noise and the noise level of an image's k-th step are functions of (`seed`, image id, k), so
    batch size, order and sharding do not change them. With `stopping` an image's steps are evaluated in
    their order until it is decided, or a few more: which ones beyond depends on the batches, so a caller
    that wants a result that does not has to leave these out (`meddiff.diffusion.stopping.cut`).

    Where memory runs out, passes are halved (`meddiff.devices.out_of_memory`).

    Args:
        denoiser: the model, on the device to compute on; it is put into eval mode.
        images: uint8 [I, H, W, C]; only the rows of a batch are read at once.
        image_ids: the I ids, unique.
        seed: seed of noise and noise levels.
        steps: number of classification steps S.
        levels: ``uniform``, ``low_discrepancy`` or ``antithetic`` (`meddiff.diffusion.noise.noise_levels`).
        batch_size: network inputs a pass (images x classes), at least one image.
        precision: ``fp32``, or ``fp16`` / ``bf16`` for the network's body; errors are fp32.
        errors: earlier result [I, S, K] to complete; NaN marks what is missing.
        stopping: where images stop; None evaluates all steps of all images.
        order: [I, S] steps of each image in the order in which they are evaluated and `stopping` sees them;
            by their number if not given (`meddiff.diffusion.step_order`).
        on_batch: called with the tensor so far after every batch (to save it).
        in_parts: `passes_in_parts`, where calls are to share what running out of memory taught one of them.
        description: shown with the progress.

    Returns:
        errors fp32 [I, S, K] and logSNR fp32 [I, S].

    Raises:
        MeddiffError: if there is not enough memory for one image.
    """
    device = next(denoiser.parameters()).device
    if errors is None:
        errors = np.full((len(image_ids), steps, denoiser.num_classes), np.nan, dtype=np.float32)
    keys = noise_keys(seed, image_ids).to(device)
    pairs_per_batch = _pairs_per_batch(denoiser, batch_size)
    ordered = in_order(errors, order)
    queue = WorkQueue(ordered, stopping)
    total = None if stopping else -(-int(np.isnan(errors).any(axis=2).sum()) // pairs_per_batch)
    encoded = _Encoded(denoiser, images, keep=stopping is not None)
    halving = in_parts or passes_in_parts(denoiser, batch_size, description)

    side_by_side = SideBySide(device, lambda: autocast(device, precision))

    def errors_of(pairs: np.ndarray) -> Tensor:
        # A batch of another size would be compiled again, and recorded again as a CUDA graph.
        filled = steps_of(_padded(pairs, halving.size) if denoiser.is_compiled else pairs)
        return _score_pairs(denoiser, encoded, keys, levels, side_by_side, filled)[: len(pairs)]

    def steps_of(pairs: np.ndarray) -> np.ndarray:
        if order is None:
            return pairs
        return np.stack((pairs[:, 0], order[pairs[:, 0], pairs[:, 1]]), axis=1)

    def queued(batch: np.ndarray) -> Fetch:
        return fetch(torch.cat(halving(errors_of, batch)))

    fill = None if denoiser.is_compiled else _fill(device)
    denoiser.eval()
    with torch.inference_mode(), autocast(device, precision), side_by_side:
        results = evaluated(queue.batches(pairs_per_batch, fill), queued, _batches_ahead(device, stopping))
        for batch, result in track(results, description, total):
            rows, steps_now = steps_of(batch).T
            errors[rows, steps_now] = ordered[batch[:, 0], batch[:, 1]] = result
            if on_batch is not None:
                on_batch(errors)
    return errors, step_logsnr(denoiser, image_ids, seed=seed, steps=steps, levels=levels)


def passes_in_parts(denoiser: Denoiser, batch_size: int, description: str = "scoring") -> Halving:
    """What halves the passes of `score` where memory runs out; several calls can share one.

    Args:
        denoiser, batch_size, description: as in `score`.
    """
    device = next(denoiser.parameters()).device
    return Halving(_pairs_per_batch(denoiser, batch_size), device, description)


def _pairs_per_batch(denoiser: Denoiser, batch_size: int) -> int:
    """(image, step) pairs whose inputs, one a class, make a batch."""
    return max(1, batch_size // denoiser.num_classes)


def step_logsnr(
    denoiser: Denoiser, image_ids: Sequence[str], *, seed: int, steps: int, levels: str
) -> np.ndarray:
    """LogSNR of the classification steps of images, fp32 [I, S]; arguments as in `score`.

    On the CPU, whatever the model is on: an order of steps by these must not depend on the device.
    """
    keys = noise_keys(seed, image_ids)
    result = np.empty((len(image_ids), steps), dtype=np.float32)
    with torch.inference_mode():
        for row, key in enumerate(keys):
            t = noise_levels(key.expand(steps, 2), torch.arange(steps), levels)
            result[row] = denoiser.schedule.logsnr(t).numpy()
    return result


class _Encoded:
    """Images in the space of the denoiser. With `keep`, those of one batch are there for the next."""

    def __init__(self, denoiser: Denoiser, images: Images, keep: bool) -> None:
        self._denoiser, self._images, self._keep = denoiser, images, keep
        self._kept: dict[int, Tensor] = {}

    def __call__(self, rows: np.ndarray, device: torch.device) -> Tensor:
        """[R, C, H, W] for distinct `rows` [R]."""
        new = [row for row in rows.tolist() if row not in self._kept]
        if new:
            pixels = to_device(np.array(self._images[new]), device)
            x = self._denoiser.encode_pixels(pixels)
            if not self._keep:
                return x
            self._kept |= {row: one.clone() for row, one in zip(new, x, strict=True)}
        self._kept = {row: self._kept[row] for row in rows.tolist()}
        return torch.stack(list(self._kept.values()))


def _score_pairs(
    denoiser: Denoiser,
    encoded: _Encoded,
    keys: Tensor,
    levels: str,
    side_by_side: SideBySide,
    pairs: np.ndarray,
) -> Tensor:
    """Errors of (image row, step) pairs, [P, K]."""
    rows, inverse = np.unique(pairs[:, 0], return_inverse=True)
    x = encoded(rows, keys.device)[to_device(inverse, keys.device)]
    pair_keys = keys[to_device(pairs[:, 0], keys.device)]
    steps = to_device(pairs[:, 1], keys.device)

    def errors(part: slice) -> Tensor:
        return step_errors(denoiser, x[part], pair_keys[part], steps[part], levels)

    return torch.cat(side_by_side(errors, len(pairs)))


def _padded(pairs: np.ndarray, size: int) -> np.ndarray:
    """`pairs` [P, 2] and their last one again, [size, 2]."""
    return np.concatenate([pairs, np.repeat(pairs[-1:], size - len(pairs), axis=0)])


def _fill(device: torch.device) -> int | None:
    """Up to how many pairs a batch is filled with steps that may not be needed; None for all.

    An accelerator needs as long for half a batch as for a whole one. On a CPU time goes by the number of
    pairs, but for the smallest batches.
    """
    return _CPU_FILL if device.type == "cpu" else None


def _batches_ahead(device: torch.device, stopping: Stopping | None) -> int:
    """How many batches are queued while the result of one is waited for.

    With a stopping rule none can be: which pairs come next depends on the result.
    """
    return 1 if device.type == "cuda" and stopping is None else 0
