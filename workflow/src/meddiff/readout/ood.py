"""How unlike the training data images are: scores of predictions tables, in columns ``ood_<kind>``.

Larger = less like the images of the validation split, whose 95 % quantile is 0: an image above is one that at
most one in twenty of these would be. Diffusion classifiers have the kinds of `meddiff.readout.profile`,
baselines two that need no fit: ``max_softmax`` (minus the largest probability, Hendrycks and Gimpel 2017) and
``energy`` (minus the logarithm of the summed exponentials of logits, Liu et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from meddiff.diffusion.vote import Floats
from meddiff.errors import DataError
from meddiff.format_version import KEY, as_of_today
from meddiff.io import read_json, write_json
from meddiff.readout.from_errors import error_array
from meddiff.readout.predictions import OOD, probabilities, scores
from meddiff.readout.profile import Curve, ErrorProfile, LevelModel, fit

if TYPE_CHECKING:
    import xarray as xr

FORMAT_VERSION = 1
QUANTILE = 0.95
_FOLDS = 5
_REPAIR = "fit it again with `meddiff profile`"

Limits = dict[str, float]


def fit_profile(validation: xr.Dataset, path: str | Path) -> tuple[ErrorProfile, Limits]:
    """The error profile of a validation split, and the 95 % quantile of each kind of score.

    Scores are smaller for images that the profile was fitted on, so quantiles are of five-fold
    cross-fitting.

    Args:
        validation: errors.
        path: their file, for messages.

    Raises:
        DataError: if there are too few images, or an image has no complete step.
    """
    errors, logsnr = _arrays(validation)
    try:
        profile = fit(errors, logsnr)
        fold = np.arange(len(errors)) % min(_FOLDS, len(errors))
        parts = [
            fit(errors[fold != f], logsnr[fold != f])(errors[fold == f], logsnr[fold == f])
            for f in range(fold.max() + 1)
        ]
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return profile, limits({kind: np.concatenate([part[kind] for part in parts]) for kind in parts[0]})


def profile_scores(profile: ErrorProfile, dataset: xr.Dataset) -> dict[str, Floats]:
    """Kind -> [I] score of the images of an errors file."""
    return profile(*_arrays(dataset))


def logit_scores(table: pd.DataFrame) -> dict[str, Floats]:
    """Kind -> [I] score of the images of a baseline's predictions table."""
    return {
        "max_softmax": -probabilities(table).max(axis=1),
        "energy": -np.asarray(logsumexp(scores(table), axis=1)),
    }


def limits(validation: Mapping[str, Floats]) -> Limits:
    """Kind -> 95 % quantile of scores of validation images."""
    return {kind: float(np.quantile(values, QUANTILE)) for kind, values in validation.items()}


def share_beyond(found: Mapping[str, Floats], quantiles: Limits) -> dict[str, float]:
    """Kind -> share of images whose score is above its quantile."""
    return {kind: float((values > quantiles[kind]).mean()) for kind, values in found.items()}


def with_ood(table: pd.DataFrame, found: Mapping[str, Floats], quantiles: Limits) -> pd.DataFrame:
    """`table` with a column ``ood_<kind>`` of each kind of score, less its quantile, before the steps."""
    table, place = table.copy(), table.columns.get_loc("steps_used")
    for at, (kind, values) in enumerate(found.items()):
        table.insert(place + at, OOD + kind, values - quantiles[kind])
    return table


def write_profile(path: str | Path, profile: ErrorProfile, quantiles: Limits) -> None:
    """Write a profile as JSON, atomically."""
    write_json(path, {KEY: FORMAT_VERSION, "limits": quantiles, **_to_json(profile)})


def read_profile(path: str | Path) -> tuple[ErrorProfile, Limits]:
    """Read a profile and its quantiles.

    Raises:
        DataError: if it cannot be read, is none, or a newer meddiff made it.
    """
    try:
        document = dict(read_json(path))
        content = as_of_today(path, document.pop(KEY, None), document, (), DataError, _REPAIR)
        model = content.pop("model")
        curves = {name: Curve(**_arrays_of(model.pop(name))) for name in ("mean", "variance")}
        quantiles = {kind: float(value) for kind, value in content.pop("limits").items()}
        level_model = LevelModel(**curves, **_arrays_of(model))
        return ErrorProfile(model=level_model, **_arrays_of(content)), quantiles
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: is no error profile ({error}); {_REPAIR}") from error


def _arrays(dataset: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Errors [I, S, K] and logSNR [I, S]."""
    return error_array(dataset), dataset["logsnr"].transpose("image", "step").values


def _to_json(part: Any) -> Any:
    if isinstance(part, np.ndarray):
        return part.tolist()
    return {field.name: _to_json(getattr(part, field.name)) for field in fields(part)}


def _arrays_of(lists: Mapping[str, Any]) -> dict[str, Floats]:
    return {name: np.asarray(values, dtype=np.float64) for name, values in lists.items()}
