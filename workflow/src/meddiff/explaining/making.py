"""Make the images of a counterfactual run, batch by batch, those that are there left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image

from meddiff.config.schema.counterfactual import ExplainParams
from meddiff.data.stores.store import Store
from meddiff.devices.out_of_memory import Halving
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.sample import Sampling
from meddiff.errors import Interrupted
from meddiff.explaining.counterfactuals import edit_images
from meddiff.explaining.edits import Edit, batches, is_whole, read_images
from meddiff.io import atomic_path
from meddiff.progress import track

log = logging.getLogger("meddiff")


def make_images(
    denoiser: Denoiser,
    store: Store,
    edits: Sequence[Edit],
    folder: Path,
    params: ExplainParams,
    batch_size: int,
    stop: Callable[[], bool],
) -> None:
    """Write the images that `folder` does not have yet.

    Raises:
        Interrupted: if `stop` says so, before the next step; finished batches are kept.
    """

    def on_step() -> None:
        if stop():
            raise Interrupted("stopped; run again to go on from there")

    every = _batches_of_one_setting(edits, batch_size)
    # A batch that was not finished is made again as a whole: in other company its last bits could differ.
    waiting = [batch for batch in every if not all(_is_made(folder / edit.file) for edit in batch)]
    done = len(every) - len(waiting)
    if done:
        log.info("%d of %d batches of counterfactuals are already made", done, len(every))
    halving = Halving(batch_size, next(denoiser.parameters()).device, "making counterfactuals")

    def edited(part: Sequence[Edit]) -> np.ndarray:
        return edit_images(
            denoiser,
            _starts(part, store, folder),
            [edit.noise_name for edit in part],
            [edit.classes[-1] for edit in part],
            Sampling(
                part[0].from_t,
                params.sampling_steps,
                part[0].cfg_scale,
                params.sampler,
                params.extra_last_step,
            ),
            params.seed,
            precision=params.precision,
            on_step=on_step,
        )

    for batch in track(waiting, "making counterfactuals", len(every), done):
        images = np.concatenate(halving(edited, batch))
        for edit, pixels in zip(batch, images, strict=True):
            with atomic_path(folder / edit.file) as temporary:
                Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(temporary)


def _is_made(path: Path) -> bool:
    """Whether an image is there; the crash of a machine may leave empty files, and a disk damaged ones."""
    if not path.is_file():
        return False
    if not is_whole(path):
        log.warning("%s: is damaged; it is made again", path)
        return False
    return True


def _batches_of_one_setting(edits: Sequence[Edit], batch_size: int) -> list[Sequence[Edit]]:
    """Batches in the order in which to make them: cycles start from other edits, so they come last."""

    def setting(edit: Edit) -> tuple[bool, float, float]:
        return edit.before is not None, edit.from_t, edit.cfg_scale

    found = []
    for (_, _, cfg_scale), group in groupby(sorted(edits, key=setting), key=setting):
        # Guidance asks the network twice: with the class and without.
        found += batches(list(group), max(1, batch_size // (1 if cfg_scale == 1 else 2)))
    return found


def _starts(batch: Sequence[Edit], store: Store, folder: Path) -> np.ndarray:
    """What edits start from, uint8 [N, H, W, C]: test images, or counterfactuals made before."""
    if batch[0].before is None:
        return np.stack([np.array(store.images[edit.row]) for edit in batch])
    return read_images(folder, [edit.before for edit in batch])
