"""Efficiency of synthetic errors, for the tests of its numbers, table and figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from evaluate_samples import sample_errors
from meddiff.evaluate.efficiency import RunErrors, efficiency
from meddiff.evaluate.statistics import Resampling
from meddiff.runs import ScoringRun

STEPS = 61
NUMBERS = [1, 5, 25, 501]
DELTAS = [0.2, 0.01]
RESAMPLING = Resampling(bootstrap_samples=200, confidence=0.9, bootstrap_seed=0)


def table_of(*errors: xr.Dataset | RunErrors, datasets: int = 1) -> pd.DataFrame:
    """The efficiency of one model: on each data set as many seeds as there are errors for it."""
    files = [one if isinstance(one, RunErrors) else RunErrors(one) for one in errors]
    seeds = range(len(files) // datasets)
    runs = [
        ScoringRun(dataset=f"data{i}", model="unet", seed=seed) for i in range(datasets) for seed in seeds
    ]
    return efficiency(zip(runs, files, strict=True), NUMBERS, DELTAS, RESAMPLING)


def with_signal_at_some_levels(seed: int, split: str) -> xr.Dataset:
    """Errors that tell the classes apart at half of the noise levels, and are louder at the other half."""
    dataset = sample_errors(images=100, steps=STEPS, skill=0.0, seed=seed)
    generator = np.random.default_rng([seed, 1])
    logsnr = generator.uniform(-10, 10, (100, STEPS)).astype(np.float32)
    useful = logsnr[..., None] > 0
    own = np.eye(2)[dataset["label"].values][:, None]
    noise = generator.standard_normal((100, STEPS, 2))
    errors = np.where(useful, noise - 1.2 * own, 30 * noise).astype(np.float32)
    dims = dataset["errors"].dims
    return dataset.assign(errors=(dims, errors), logsnr=(dims[:2], logsnr)).assign_attrs(split=split)
