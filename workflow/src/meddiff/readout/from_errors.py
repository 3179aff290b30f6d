"""From noise-prediction errors to a table of predictions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from meddiff.diffusion import vote
from meddiff.diffusion.step_order import in_order, spread_order
from meddiff.errors import ConfigError, DataError
from meddiff.readout.predictions import table_of
from meddiff.readout.rules import RULES

if TYPE_CHECKING:
    import xarray as xr


def from_errors(dataset: xr.Dataset, decision: str) -> pd.DataFrame:
    """Predictions of a diffusion classifier.

    Args:
        dataset: variables errors (image, step, class), label (image) and group (image); coordinate image.
        decision: name of a rule (`meddiff.readout.rules`). The three uncertainty columns are the same for
            all of them. Where an image stopped early, vote shares and t-score are those to be expected of
            all its steps, so that they are comparable between images.

    Raises:
        DataError: if an image has no complete step or an infinite error.
        ConfigError: if there is no such rule.
    """
    errors = error_array(dataset)
    return from_error_arrays(
        errors,
        dataset["logsnr"].transpose("image", "step").values,
        dataset["image"].values.astype(str),
        dataset["group"].values.astype(str),
        dataset["label"].values,
        dataset["class"].values.astype(str),
        decision,
    )


def from_error_arrays(
    errors: np.ndarray,
    logsnr: np.ndarray,
    image_ids: np.ndarray,
    groups: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    decision: str,
) -> pd.DataFrame:
    """As `from_errors`, of arrays.

    Args:
        errors: [I, S, K], NaN where not evaluated; every image has a complete step.
        logsnr: [I, S].
        image_ids, groups: [I] text.
        labels: [I] class indices.
        class_names: K.
        decision: name of a rule.

    Raises:
        ConfigError: if there is no such rule.
    """
    if decision not in RULES:
        raise ConfigError(f"decision: there is no rule {decision!r}; there are {', '.join(RULES)}")
    readout = RULES[decision](errors, logsnr)
    tally, total = vote.tally(errors), errors.shape[1]
    return table_of(
        image_ids,
        groups,
        labels,
        class_names,
        readout,
        {
            "vote_entropy": tally.vote_entropy(total),
            "t_score": vote.t_score(errors),
            "softmax_entropy": tally.softmax_entropy(),
        },
        tally.steps,
        total,
    )


def error_array(dataset: xr.Dataset) -> np.ndarray:
    """Errors [image, step, class] of an errors dataset, checked.

    Raises:
        DataError: if an image has no complete step or an infinite error.
    """
    errors = dataset["errors"].transpose("image", "step", "class").values
    ids = dataset["image"].values.astype(str)
    infinite = np.isinf(errors).any(axis=(1, 2))
    if infinite.any():
        raise DataError(
            f"errors of image {ids[infinite.argmax()]!r} are infinite ({infinite.sum()} images in all); "
            "score with precision fp32 or bf16"
        )
    empty = ~np.isfinite(errors).all(axis=2).any(axis=1)
    if empty.any():
        raise DataError(
            f"image {ids[empty.argmax()]!r} has no step with all classes evaluated ({empty.sum()} images "
            "in all); the scoring run is not complete: delete the errors file and score again"
        )
    return errors


def errors_in_order(dataset: xr.Dataset) -> np.ndarray:
    """`error_array` with the steps of each image in the order in which they were evaluated."""
    errors = error_array(dataset)
    if json.loads(dataset.attrs.get("stopping", "{}")).get("order") != "spread":
        return errors
    logsnr = dataset["logsnr"].transpose("image", "step").values
    return in_order(
        errors, spread_order(logsnr, int(dataset.attrs["seed"]), dataset["image"].values.tolist())
    )
