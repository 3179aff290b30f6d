"""Which metrics the counterfactuals of a run have in each direction, and the file of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from meddiff.errors import DataError
from meddiff.explaining.edits import COUNTERFACTUAL, CYCLE, FACTUAL
from meddiff.result_csv import read_csv
from meddiff.runs import TrainedRun

RUN = ["dataset", "model", "seed"]
COLUMNS = [*RUN, "source", "target", "metric", "value", "ci_low", "ci_high", "n", "note"]

# Metric -> (role, column of the measures); a metric is the mean over images.
MEANS: dict[str, tuple[str, str]] = {
    "validity": (COUNTERFACTUAL, "valid"),
    "validity_oracle": (COUNTERFACTUAL, "valid_oracle"),
    "control": (COUNTERFACTUAL, "control"),
    "control_oracle": (COUNTERFACTUAL, "control_oracle"),
    "target_gain": (COUNTERFACTUAL, "gain"),
    "target_gain_oracle": (COUNTERFACTUAL, "gain_oracle"),
    "l1": (COUNTERFACTUAL, "l1"),
    "l2": (COUNTERFACTUAL, "l2"),
    "ssim": (COUNTERFACTUAL, "ssim"),
    "changed_share": (COUNTERFACTUAL, "changed_share"),
    "feature_distance": (COUNTERFACTUAL, "feature_distance"),
    "class_l1": (COUNTERFACTUAL, "class_l1"),
    "composition_l1": (FACTUAL, "l1"),
    "reversibility_l1": (CYCLE, "l1"),
    "change_inside_lesion": (COUNTERFACTUAL, "inside_lesion"),
    "lesion_area": (COUNTERFACTUAL, "lesion_area"),
}
# Of sets of images (`meddiff.explaining.set_distances`).
KID, KID_HALVES, KID_SOURCE, FID = "kid", "kid_halves", "kid_source", "fid"
SET_METRICS = [KID, KID_HALVES, KID_SOURCE, FID]
METRICS = [*MEANS, *SET_METRICS]

CHANGED = 0.05  # of the range, for a pixel to count as changed
# FID is biased by the number of images (Chong & Forsyth 2020): with two images for each of 512 dimensions
# two samples of one distribution are 130 apart. From ten on that is a small part of what classes differ by.
FID_IMAGES_PER_DIMENSION = 10


def read_metrics(path: Path, run: TrainedRun) -> pd.DataFrame:
    """Read a metrics file and check that it belongs to `run`.

    Raises:
        DataError: if it cannot be read, lacks columns, or is of another run.
    """
    table = read_csv(path, COLUMNS, "run `measure` again", numbers=["value", "ci_low", "ci_high", "n"])
    if table.empty:
        raise DataError(f"{path}: has no rows; run `measure` again")
    for key in RUN:
        found, expected = sorted(set(table[key])), getattr(run, key)
        if found != [expected]:
            raise DataError(
                f"{path}: {key} is {found}, expected {expected!r}; files go in the order of the runs"
            )
    return table
