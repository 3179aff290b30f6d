"""Files of a diffusion classifier and a baseline that were tried on shifted images, for tests."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

from error_samples import save_errors
from evaluate_samples import sample_errors, sample_predictions
from meddiff.readout.ood import fit_profile, write_profile
from meddiff.readout.predictions import write_predictions

FACTORS = {"inverted": 3.0, "half_contrast": 0.8}  # of errors
_SHIFTED = 12  # images of each shift


def ood_files(folder: Path) -> dict[str, Path]:
    """Write the files of one diffusion classifier and one baseline; options of ``artifact`` -> file."""
    validation, test = (sample_errors(images=40, seed=seed) for seed in (1, 0))
    write_profile(folder / "profile.json", *fit_profile(validation, "errors_valid.nc"))
    changed = [_of_shift(test, name, factor) for name, factor in FACTORS.items()]
    files = {
        "profiles": folder / "profile.json",
        "errors": save_errors(test, folder / "ood_errors.nc"),
        "shifted_errors": save_errors(xr.concat(changed, "image"), folder / "errors_shifted.nc"),
    }
    table = sample_predictions(images=40)
    shifted = [table.head(_SHIFTED).assign(image_id=f"{name}:" + table["image_id"]) for name in FACTORS]
    for name, predicted in (("validation", table), ("scores", table), ("shifted_scores", pd.concat(shifted))):
        files[name] = folder / f"ood_{name}.csv"
        write_predictions(predicted, files[name])
    return files


def _of_shift(test: xr.Dataset, name: str, factor: float) -> xr.Dataset:
    part = test.isel(image=slice(_SHIFTED)).copy(deep=True)
    part["errors"] = part["errors"] * factor
    return part.assign_coords(image=[f"{name}:{image_id}" for image_id in part["image"].values])
