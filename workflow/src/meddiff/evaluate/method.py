"""The picture of the method: how one test image is noised, scored and decided. Drawn from stored files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from meddiff.artifacts.style import save
from meddiff.data.stores.store import Store
from meddiff.diffusion import vote
from meddiff.errors import DataError
from meddiff.evaluate.method_drawing import draw_method
from meddiff.evaluate.predictions import error_array
from meddiff.evaluate.settings import MethodSettings, parse_params
from meddiff.result_csv import write_csv
from meddiff.scoring.error_file import load_errors

# Shares of an image's steps that have more noise than the ones shown as images: from readable to hidden.
_SHOWN_QUANTILES = (0.95, 0.8, 0.55)
_HAAR_NOISE = 2.0  # the halved Haar transform makes pixel noise twice the coefficients'


def make_method_figure(params: str, errors: Path, store: Path, csv: Path, png: Path, pdf: Path) -> None:
    """Write the steps of one image as CSV, and draw them with the image as PNG and PDF.

    Args:
        params: JSON of `meddiff.evaluate.settings.MethodSettings`.
        errors: errors file of the run.
        store: folder of the image store that was scored.
        csv, png, pdf: files to write.

    Raises:
        ConfigError: if params are wrong.
        DataError: if a file is, or the store has not the image.
    """
    settings = parse_params(MethodSettings, params)
    dataset = load_errors(errors)
    image_id = example_image(dataset)
    steps = step_table(dataset.sel(image=image_id))
    image = stored_image(Store.open(store, str(dataset.attrs.get("split", "test"))), image_id)
    levels = steps.loc[steps["shown"], "logsnr"].sort_values(ascending=False).to_numpy()
    names = dataset["class"].values.astype(str).tolist()
    label = int(dataset["label"].sel(image=image_id))
    figure = draw_method(steps, names, label, image, noised(image, levels, settings), settings)
    write_csv(steps.assign(image_id=image_id, label=label), csv)
    save(figure, png, pdf, settings.style.dpi)


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


def stored_image(store: Store, image_id: str) -> np.ndarray:
    """One image of a store, float [H, W, C] in [-1, 1].

    Raises:
        DataError: if the store has no such image.
    """
    if image_id not in store.image_ids:
        raise DataError(
            f"the store has no image {image_id!r}, which the errors file has: they belong to different "
            "splits; score again"
        )
    return store.images[store.image_ids.index(image_id)] / 127.5 - 1.0


def noised(image: np.ndarray, logsnr: np.ndarray, settings: MethodSettings) -> list[np.ndarray]:
    """The image at noise levels `logsnr`, as pixels that can be shown.

    z = alpha x + sigma eps with alpha^2 = sigmoid(logsnr) = 1 - sigma^2. A model that works on Haar
    coefficients adds the noise there, which is twice as much per pixel. The draw is one of ours, not the
    one that was scored (that needs torch). Values are divided by sqrt(alpha^2 + scale^2 sigma^2), which
    keeps the contrast comparable, and clipped.

    Args:
        image: [H, W, C] in [-1, 1].
        logsnr: [N].

    Returns:
        N arrays [H, W, C] in [-1, 1].
    """
    scale = _HAAR_NOISE if settings.wavelet else 1.0
    eps = np.random.default_rng(settings.seed).standard_normal((len(logsnr), *image.shape))
    shown = []
    for level, noise in zip(np.asarray(logsnr, dtype=np.float64), eps, strict=True):
        alpha, sigma = np.sqrt(1 / (1 + np.exp(-level))), scale * np.sqrt(1 / (1 + np.exp(level)))
        shown.append(np.clip((alpha * image + sigma * noise) / np.hypot(alpha, sigma), -1, 1))
    return shown
