"""Synthetic errors and predictions that look like real ones, for the tests of evaluation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from error_samples import make_errors
from meddiff.readout.from_errors import from_errors
from meddiff.readout.from_logits import from_probabilities


def labels_of(images: int, classes: int) -> np.ndarray:
    """Balanced labels."""
    return np.arange(images) % classes


def groups_of(images: int, per_group: int) -> list[str]:
    """Group ids with `per_group` images each."""
    return [f"patient{i // per_group}" for i in range(images)]


def sample_errors(
    images: int = 60,
    steps: int = 21,
    classes: int = 2,
    skill: float = 0.35,
    seed: int = 0,
    per_group: int = 1,
    early_stop: bool = False,
) -> xr.Dataset:
    """Errors whose paired class difference has a mean that varies from image to image.

    Args:
        skill: mean difference in units of its standard deviation over steps.
        early_stop: evaluate only the first few steps of every second image.
    """
    generator = np.random.default_rng([seed, images, steps, classes])
    labels = labels_of(images, classes)
    margin = generator.normal(skill, 0.5, size=images)
    level = generator.uniform(50, 4000, size=(images, steps, 1))  # noise level, shared by the classes
    errors = level + generator.normal(0, 1.0, size=(images, steps, classes))
    truth = np.eye(classes)[labels][:, None, :]
    errors = errors - truth * margin[:, None, None]
    if early_stop:
        errors[::2, steps // 2 :] = np.nan
    return make_errors(
        errors.astype(np.float32),
        generator.normal(-3, 4, size=(images, steps)).astype(np.float32),
        [f"image{i:05d}" for i in range(images)],
        labels,
        groups_of(images, per_group),
        [f"class {k}" for k in range(classes)],
        {"seed": seed},
    )


def sample_predictions(decision: str = "softmax", classes: int = 2, **options: int | float) -> pd.DataFrame:
    """A predictions table by `decision` (majority, mean or softmax)."""
    errors = sample_errors(classes=classes, **options)
    if decision != "softmax":
        return from_errors(errors, decision)
    logits = -0.5 * errors["errors"].values.astype(float)
    logits = 3 * (logits - logits.mean(axis=2, keepdims=True)).mean(axis=1)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return from_probabilities(
        errors["image"].values.tolist(), errors["group"].values.tolist(), errors["label"].values, p
    )
