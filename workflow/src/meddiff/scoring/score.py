"""Noise-prediction errors of a diffusion classifier: the tensor [image, step, class]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from meddiff.devices.transfer import evaluated, to_device
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.noise import noise_keys, noise_levels
from meddiff.diffusion.step_order import in_order, spread_order
from meddiff.progress import track
from meddiff.scoring.passes import Pairs, Passes, Work
from meddiff.scoring.settings import ScoringSettings
from meddiff.scoring.work_queue import WorkQueue


class Images(Protocol):
    """Images that need not be in memory: a NumPy array or memmap, or something that reads them."""

    def __getitem__(self, rows: list[int]) -> np.ndarray:
        """uint8 [R, H, W, C]."""


class Maps(Protocol):
    """What becomes of evidence maps; `meddiff.scoring.evidence_sums.EvidenceSums` says more.

    Attributes:
        again: bool [I, S] steps, by number, whose maps are wanted although their errors are known.
    """

    again: np.ndarray

    def add(self, work: Work, steps: np.ndarray, maps: np.ndarray) -> None:
        """Take the sums [R, K - 1, H, W] over the runs of a batch, whose pairs are of `steps` [P]."""

    def settle(self, queue: WorkQueue) -> None:
        """Ask which of what was taken counts, and which images are complete."""


@dataclass(frozen=True)
class Scores:
    """Errors of images, and of which steps they are.

    Attributes:
        errors: fp32 [I, S, K], NaN where not evaluated.
        logsnr: fp32 [I, S].
        order: int [I, S], the steps of each image in the order in which they are evaluated; None where that
            is by number.
    """

    errors: np.ndarray
    logsnr: np.ndarray
    order: np.ndarray | None


def score(
    passes: Passes,
    images: Images,
    image_ids: Sequence[str],
    settings: ScoringSettings,
    *,
    errors: np.ndarray | None = None,
    maps: Maps | None = None,
    on_batch: Callable[[np.ndarray], None] | None = None,
    description: str | None = None,
) -> Scores:
    """Errors of all images at all steps and for all classes.

    The noise and the noise level of an image's k-th step are functions of (seed, image id, k), so
    batch size, order and sharding do not change them. With a stopping rule an image's steps are evaluated in
    their order until it is decided, or a few more: which ones beyond depends on the batches, so a caller
    that wants a result that does not has to leave these out (`meddiff.diffusion.stopping.cut`).

    Args:
        passes: through the model, which is put into eval mode.
        images: uint8 [I, H, W, C]; only the rows of a batch are read at once.
        image_ids: the I ids, unique.
        settings: seed, steps and where images stop.
        errors: earlier result [I, S, K] to complete; NaN marks what is missing.
        maps: gets evidence maps of all steps that are evaluated; errors that are known stay as they are.
        on_batch: called with the tensor so far after every batch (to save it).
        description: shown with the progress; that of `passes` if not given.

    Raises:
        MeddiffError: if there is not enough memory for one image.
    """
    denoiser, stopping = passes.denoiser, settings.stopping
    if errors is None:
        shape = len(image_ids), settings.steps, denoiser.num_classes
        errors = np.full(shape, np.nan, dtype=np.float32)
    logsnr, order = step_levels(denoiser, image_ids, settings)
    ordered = in_order(errors, order)
    again = None if maps is None else in_order(maps.again, order)
    queue = WorkQueue(ordered, stopping, again)
    keys = noise_keys(settings.seed, image_ids).to(passes.device)
    inputs = _Inputs(_Encoded(denoiser, images, keep=stopping is not None), keys, order)
    denoiser.eval()
    with passes.begun(inputs, settings) as begin:
        batches = queue.batches(passes.pairs, passes.fill())
        works = (Work(pairs, None if maps is None else queue.runs(pairs)) for pairs in batches)
        results = evaluated(works, begin, passes.ahead(settings))
        total = None if stopping else -(-queue.missing() // passes.pairs)
        for work, found in track(results, description or passes.description, total):
            pairs, steps = work.pairs, inputs.steps(work.pairs)
            new = np.isnan(ordered[pairs[:, 0], pairs[:, 1]]).any(axis=1)
            rows, at, by_number = pairs[new, 0], pairs[new, 1], steps[new]
            errors[rows, by_number] = ordered[rows, at] = found.errors[new]
            if maps is not None:
                maps.add(work, steps, found.maps)
                maps.settle(queue)
            if on_batch is not None:
                on_batch(errors)
    if maps is not None:
        maps.settle(queue)
    return Scores(errors, logsnr, order)


def step_levels(
    denoiser: Denoiser, image_ids: Sequence[str], settings: ScoringSettings
) -> tuple[np.ndarray, np.ndarray | None]:
    """LogSNR and order of the classification steps of images; see `Scores`.

    On the CPU, whatever the model is on: an order of steps by these must not depend on the device.
    """
    numbers = torch.arange(settings.steps)
    logsnr = np.empty((len(image_ids), settings.steps), dtype=np.float32)
    with torch.inference_mode():
        for row, key in enumerate(noise_keys(settings.seed, image_ids)):
            t = noise_levels(key.expand(len(numbers), 2), numbers, settings.noise_levels)
            logsnr[row] = denoiser.schedule.logsnr(t).numpy()
    return logsnr, spread_order(logsnr, settings.seed, image_ids) if settings.order == "spread" else None


@dataclass(frozen=True)
class _Inputs:
    """What the network gets for pairs of image row and position of the step in `order` [I, S]."""

    encoded: _Encoded
    keys: Tensor
    order: np.ndarray | None

    def steps(self, pairs: Pairs) -> np.ndarray:
        """[P] numbers of the steps."""
        return pairs[:, 1] if self.order is None else self.order[pairs[:, 0], pairs[:, 1]]

    def __call__(self, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
        """Encoded images [P, C, H, W], noise keys [P, 2] and numbers of steps [P]."""
        device = self.keys.device
        rows, inverse = np.unique(pairs[:, 0], return_inverse=True)
        x = self.encoded(rows, device)[to_device(inverse, device)]
        return x, self.keys[to_device(pairs[:, 0], device)], to_device(self.steps(pairs), device)


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
