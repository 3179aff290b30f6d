"""The table of triage, from predictions and calibrations to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from artifact_samples import command_of
from evaluate_samples import sample_predictions
from meddiff.cli import main
from meddiff.readout.calibrating import calibrate, with_calibrated, with_triage
from meddiff.readout.calibration_file import write_calibration
from meddiff.readout.predictions import class_sets, write_predictions

PROMISED = {"ppv": 0.9, "npv": 0.9, "coverage": 0.8, "confidence": 0.9}
NAMES = {"two": 2, "three": 3}
RUNS = [{"dataset": name, "model": "unet", "seed": 0, "votes": 0, "decision": "mean"} for name in NAMES]
SETTINGS: dict[str, Any] = {
    "datasets": [{"name": name, "title": name.title()} for name in NAMES],
    "models": [{"name": "unet", "title": "UNet", "family": "diffusion"}],
    "runs": RUNS,
    "bootstrap_samples": 100,
    "confidence": 0.95,
    "bootstrap_seed": 0,
    "promised": PROMISED,
    "classes": {name: [f"class {k}" for k in range(number)] for name, number in NAMES.items()},
}


def made(folder: Path, images: int, **more: Any) -> tuple[pd.DataFrame, list[pd.DataFrame], str]:
    """The table with this many validation images, the predictions, and the text."""
    files: dict[str, list[Path]] = {"predictions": [], "calibrations": []}
    tables = []
    for name, classes in NAMES.items():
        test = sample_predictions("mean", classes=classes, images=150, seed=2, skill=0.8)
        validation = sample_predictions("mean", classes=classes, images=images, seed=1, skill=0.8)
        calibration = calibrate(validation, "v.csv", offsets=True)
        tables.append(with_triage(with_calibrated(test, calibration, "c.json"), calibration, PROMISED))
        files["predictions"].append(folder / f"{name}.csv")
        files["calibrations"].append(folder / f"{name}.json")
        write_predictions(tables[-1], files["predictions"][-1])
        write_calibration(files["calibrations"][-1], calibration)
    assert main(command_of("tables/triage", {**SETTINGS, **more}, folder, **files)) == 0
    return pd.read_csv(folder / "triage.csv"), tables, (folder / "triage.md").read_text()


def test_shares_and_what_was_found(tmp_path: Path) -> None:
    table, (two, three), text = made(tmp_path, 300, prevalence={"two": {"class 0": 0.9, "class 1": 0.1}})
    values = table.set_index(["dataset", "metric"])["value"]
    sure = two["triage"] == "class 1"
    assert 0 < values["two", "referred"] < 1 and sure.any()
    assert values["two", "referred"] == pytest.approx((two["triage"] == "refer").mean())
    assert values["two", "sure_positive"] == pytest.approx(sure.mean())
    assert values["two", "ppv"] == pytest.approx((two["label"][sure] == 1).mean())
    sets = class_sets(three)
    own = sets[np.arange(len(sets)), three["label"]]
    assert values["three", "coverage"] == pytest.approx(own.mean())
    assert values["three", "coverage_of_class 2"] == pytest.approx(own[three["label"] == 2].mean())
    assert values["three", "set_size"] == pytest.approx(sets.sum(axis=1).mean())
    assert (table["validation"] == 300).all()
    assert "*Two (300 validation groups)*" in text and "Classes a set" in text
    assert "a PPV of at least 90 % and an NPV of at least 90 %" in text
    assert "On Two it is promised for 90 % class 0, 10 % class 1" in text
    lowest = min(values["three", f"coverage_of_class {k}"] for k in range(3))
    assert f"{100 * lowest:.1f} [" in text.splitlines()[-1].split("|")[-2]


def test_where_validation_is_too_small_the_table_says_that_everything_is_referred(tmp_path: Path) -> None:
    table, _, text = made(tmp_path, 20)
    values = table.set_index(["dataset", "metric"])["value"]
    assert values["two", "referred"] == 1 and np.isnan(values["two", "ppv"])
    assert values["three", "set_size"] == 3
    assert "takes at least 22 validation groups" in text and "| – |" in text
