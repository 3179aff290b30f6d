"""How an image was decided step by step, short enough for a page: votes, errors, where it could stop."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion import vote
from meddiff.diffusion.step_order import in_order, spread_order
from meddiff.diffusion.stopping import make_rule, stopping_steps

if TYPE_CHECKING:
    import xarray as xr

# Points of a curve, and steps that are shown one by one; more are thinned out evenly.
_MOST_POINTS, _MOST_STEPS = 101, 151
BANDS = ("noisiest", "middle", "clearest")


@dataclass(frozen=True)
class Votes:
    """One image before one model.

    Attributes:
        best: the class with most votes, as `meddiff.diffusion.vote` decides ties.
        rival: what it is compared with: the true class where `best` is wrong, else the runner-up.
        counts: [K] votes.
        bands: [3, K] votes of the third of the steps with most noise, the middle one, and the clearest.
        means: [K] mean errors.
        used: evaluated steps.
        shown: what the page draws: ``best``, ``rival``, ``used``, ``total`` (steps of the full run),
            ``certain`` (the steps after which no other class could win any more; None where images of the run
            stopped early), ``vote`` (``at``: numbers of steps, in the order of their evaluation, ``shares``:
            per mille of each class), ``steps`` (``number``, ``logsnr``, ``difference``: 100 (error of rival -
            error of best) / their mean, ``winner``: -2 where several have the lowest error), ``bands``.
    """

    best: int
    rival: int
    counts: np.ndarray
    bands: np.ndarray
    means: np.ndarray
    used: int
    shown: dict[str, Any]


def votes_of(dataset: xr.Dataset) -> list[Votes]:
    """How each image of an errors dataset was decided.

    Args:
        dataset: errors [image, step, class], logsnr [image, step], label; attributes of the errors file.
    """
    errors = dataset["errors"].transpose("image", "step", "class").values.astype(np.float64)
    logsnr = dataset["logsnr"].transpose("image", "step").values
    total, classes = errors.shape[1:]
    order = None
    if json.loads(dataset.attrs.get("stopping", "{}")).get("order") == "spread":
        names = dataset["image"].values.astype(str).tolist()
        order = spread_order(logsnr, int(dataset.attrs["seed"]), names)
    numbers = np.broadcast_to(np.arange(total), logsnr.shape)
    ordered = in_order(errors, order), in_order(logsnr, order), in_order(numbers, order)
    certain: list[int | None] = [None] * len(errors)
    if np.isfinite(errors).all():
        rule = make_rule(StoppingConfig(kind="exact"), total, classes)
        certain = [int(n) for n in stopping_steps(ordered[0], rule)]
    labels = dataset["label"].values
    return [_of_image(*(part[i] for part in ordered), int(labels[i]), certain[i]) for i in range(len(errors))]


def _of_image(
    errors: np.ndarray, logsnr: np.ndarray, numbers: np.ndarray, label: int, certain: int | None
) -> Votes:
    """`Votes` of errors [S, K] in the order of their evaluation, and what steps they are."""
    total = len(errors)
    evaluated = np.isfinite(errors).all(axis=1)
    errors, logsnr, numbers = errors[evaluated], logsnr[evaluated], numbers[evaluated]
    tally = vote.tally(errors)
    best = int(tally.majority())
    ranked = [int(k) for k in np.lexsort((tally.mean, -tally.counts)) if k != best]
    rival = label if best != label else ranked[0]
    running = vote.prefix(errors)
    at = _thinned(len(errors), _MOST_POINTS)
    shares = 1000 * running.counts[at] / running.steps[at][:, None]
    low, high = errors[:, best], errors[:, rival]
    difference = np.divide(200 * (high - low), high + low, out=np.zeros_like(low), where=high + low > 0)
    winner = vote.votes(errors)[0]
    steps = _thinned(len(errors), _MOST_STEPS)
    noisy_first = np.array_split(np.argsort(logsnr, kind="stable"), len(BANDS))
    nothing = np.zeros(errors.shape[1])
    bands = np.stack([vote.votes(errors[part])[1] if len(part) else nothing for part in noisy_first])
    shown = {
        "best": best,
        "rival": rival,
        "used": len(errors),
        "total": total,
        "certain": certain,
        "vote": {"at": (at + 1).tolist(), "shares": np.rint(shares.T).astype(int).tolist()},
        "steps": {
            "number": numbers[steps].tolist(),
            "logsnr": [round(float(value), 3) for value in logsnr[steps]],
            "difference": [float(f"{value:.4g}") for value in difference[steps]],
            "winner": winner[steps].tolist(),
        },
        "bands": [[round(float(n), 2) for n in band] for band in bands],
    }
    return Votes(best, rival, tally.counts, bands, tally.mean, len(errors), shown)


def _thinned(length: int, most: int) -> np.ndarray:
    """Indices 0..length-1, or `most` of them evenly, the first and the last among them."""
    if length <= most:
        return np.arange(length)
    return np.unique(np.rint(np.linspace(0, length - 1, most)).astype(np.int64))
