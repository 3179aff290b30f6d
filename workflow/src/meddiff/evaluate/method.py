"""How one test image is decided, for the picture of the method: the image, its steps, and what noise does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from meddiff.diffusion import vote
from meddiff.errors import DataError
from meddiff.readout.from_errors import error_array

if TYPE_CHECKING:
    import xarray as xr

# Shares of an image's steps that have more noise than the ones shown as images: from readable to hidden.
_SHOWN_QUANTILES = (0.95, 0.8, 0.55)
_HAAR_NOISE = 2.0  # the halved Haar transform makes pixel noise twice the coefficients'


def example_image(dataset: xr.Dataset) -> str:
    """Id of the image to show: the correctly decided one with median vote entropy.

    The decision is by majority. Images that are equally uncertain are ordered by id; of an even number
    the lower median is taken. Where no image is decided correctly, all are considered.
    """
    tally = vote.tally(error_array(dataset))
    table = pd.DataFrame(
        {
            "image": dataset["image"].values.astype(str),
            "entropy": tally.vote_entropy(dataset.sizes["step"]),
            "correct": tally.majority() == dataset["label"].values,
        }
    )
    candidates = table[table["correct"]] if table["correct"].any() else table
    ordered = candidates.sort_values(["entropy", "image"], ignore_index=True)
    return str(ordered["image"].iloc[(len(ordered) - 1) // 2])


def step_table(image: xr.Dataset) -> pd.DataFrame:
    """The evaluated steps of one image.

    Args:
        image: the errors dataset of one image (no dimension ``image``).

    Returns:
        One row a step: `step`, `logsnr`, `error_<k>` (squared L2 norm) for every class k, `best` and
        `runner_up` (the decision by majority, and the class with most votes among the others; the same in
        all rows), `difference_percent` (100 (e_runner_up - e_best) / mean of the two), `winner`
        (class with the lowest error; -2 where several have it), `shown` (whether the image is shown at
        this noise level).
    """
    errors = image["errors"].transpose("step", "class").values.astype(np.float64)
    winner, _ = vote.votes(errors)
    tally = vote.tally(errors)
    best = int(tally.majority())
    # Most votes first; equal votes by the lower mean error, as in the decision.
    order = np.lexsort((tally.mean, -tally.counts))
    runner_up = int(next(k for k in order if k != best))
    table = pd.DataFrame({"step": np.arange(len(errors)), "logsnr": image["logsnr"].values})
    for k in range(errors.shape[1]):
        table[f"error_{k}"] = errors[:, k]
    low, high = errors[:, best], errors[:, runner_up]
    table = table.assign(
        best=best,
        runner_up=runner_up,
        difference_percent=np.divide(
            200 * (high - low), high + low, out=np.zeros_like(low), where=high + low > 0
        ),
        winner=winner,
    )
    table = table[table["winner"] != vote.NOT_EVALUATED].reset_index(drop=True)
    wanted = np.quantile(table["logsnr"], _SHOWN_QUANTILES)
    nearest = np.abs(table["logsnr"].to_numpy()[:, None] - wanted).argmin(axis=0)
    return table.assign(shown=table.index.isin(nearest))


def count_votes(steps: pd.DataFrame) -> tuple[np.ndarray, float]:
    """The votes [K] of each class, and the entropy of their shares.

    Args:
        steps: as `step_table` returns it.
    """
    votes = vote.votes(steps.filter(like="error_").to_numpy())[1]
    return votes, float(vote.entropy(votes / len(steps)))


def stored_image(images: np.ndarray, image_ids: Sequence[str], image_id: str) -> np.ndarray:
    """One image of a store, float [H, W, C] in [-1, 1].

    Args:
        images: uint8 [N, H, W, C].
        image_ids: of each.
        image_id: of the one.

    Raises:
        DataError: if the store has no such image.
    """
    if image_id not in image_ids:
        raise DataError(
            f"the store has no image {image_id!r}, which the errors file has: they belong to different "
            "splits; score again"
        )
    return images[image_ids.index(image_id)] / 127.5 - 1.0


def noised(image: np.ndarray, logsnr: np.ndarray, wavelet: bool, seed: int) -> list[np.ndarray]:
    """The image at noise levels `logsnr`, as pixels that can be shown.

    z = alpha x + sigma eps with alpha^2 = sigmoid(logsnr) = 1 - sigma^2. A model that works on Haar
    coefficients adds the noise there, which is twice as much per pixel. The draw is one of ours, not the
    one that was scored (that needs torch). Values are divided by sqrt(alpha^2 + scale^2 sigma^2), which
    keeps the contrast comparable, and clipped.

    Args:
        image: [H, W, C] in [-1, 1].
        logsnr: [N].
        wavelet: whether the model works on Haar coefficients.
        seed: of the draw.

    Returns:
        N arrays [H, W, C] in [-1, 1].
    """
    scale = _HAAR_NOISE if wavelet else 1.0
    eps = np.random.default_rng(seed).standard_normal((len(logsnr), *image.shape))
    shown = []
    for level, noise in zip(np.asarray(logsnr, dtype=np.float64), eps, strict=True):
        alpha, sigma = np.sqrt(1 / (1 + np.exp(-level))), scale * np.sqrt(1 / (1 + np.exp(level)))
        shown.append(np.clip((alpha * image + sigma * noise) / np.hypot(alpha, sigma), -1, 1))
    return shown
