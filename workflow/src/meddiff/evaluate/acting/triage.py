"""What triage does on test images: whom it refers, and how often it is right about the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from meddiff.errors import DataError
from meddiff.evaluate.proportion import share_interval
from meddiff.evaluate.statistics import Resampling, mean_interval
from meddiff.readout.predictions import TRIAGE, class_names, class_sets
from meddiff.readout.triage import REFER
from meddiff.runs import Run

COLUMNS = ["dataset", "model", "seed", "votes", "decision", "metric", "value", "ci_low", "ci_high", "n"]
REFERRED, POSITIVE, NEGATIVE, PPV, NPV = "referred", "sure_positive", "sure_negative", "ppv", "npv"
SET_SIZE, RIGHT, COVERAGE = "set_size", "sure_right", "coverage"
OF_CLASS = "coverage_of_"  # and its name

Row = tuple[str, float, float, float, int]


def measured(run: Run, table: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    """What became of the test images of one run.

    Args:
        run: whose predictions these are.
        table: predictions, with triage.
        resampling: how intervals are made.

    Returns:
        Columns `COLUMNS`, one row a measure; `n` is the number of images that it is of. Of two classes:
        shares that are referred, surely positive and surely negative, and PPV and NPV of these. Of more: the
        share referred, the share decided rightly of the others, the mean number of classes in a set, and the
        share of images, of all and of each class, whose set has theirs. NaN where there are none.

    Raises:
        DataError: if the predictions have no triage.
    """
    if TRIAGE not in table:
        raise DataError(
            f"predictions of {run.model} on {run.dataset} have no column {TRIAGE!r}; decide again with a "
            "calibration"
        )
    answers, names = table[TRIAGE].to_numpy(dtype=str), class_names(table)
    label, groups = table["label"].to_numpy(), table["group"].to_numpy()

    def share(metric: str, of: np.ndarray, among: np.ndarray) -> Row:
        values = of[among]
        if not len(values):
            return metric, np.nan, np.nan, np.nan, 0
        low, high = share_interval(values, groups[among], resampling.confidence)
        return metric, float(values.mean()), float(low), float(high), len(values)

    every = np.ones(len(table), dtype=bool)
    rows = [share(REFERRED, answers == REFER, every)]
    if (sets := class_sets(table)) is None:
        negative, positive = (answers == name for name in names)
        rows += [share(POSITIVE, positive, every), share(PPV, label == 1, positive)]
        rows += [share(NEGATIVE, negative, every), share(NPV, label == 0, negative)]
    else:
        rows += [share(RIGHT, answers == np.asarray(names)[label], answers != REFER)]
        sizes = sets.sum(axis=1).astype(np.float64)
        low, high = mean_interval(sizes, groups, resampling)
        rows.append((SET_SIZE, float(sizes.mean()), float(low), float(high), len(sizes)))
        own = sets[np.arange(len(sets)), label]
        rows.append(share(COVERAGE, own, every))
        rows += [share(OF_CLASS + name, own, label == k) for k, name in enumerate(names)]
    found = pd.DataFrame(rows, columns=["metric", "value", "ci_low", "ci_high", "n"])
    identity = run.model_dump(include={"dataset", "model", "seed", "votes", "decision"})
    return found.assign(**identity)[COLUMNS].astype({"votes": "Int64"})


def in_words(promised: Mapping[str, float], classes: Sequence[int]) -> str:
    """What is promised, for a caption.

    Args:
        promised: ppv, npv, coverage and confidence.
        classes: numbers of classes of the datasets shown.
    """
    ppv, npv, coverage, confidence = (
        f"{100 * promised[key]:g} %" for key in ("ppv", "npv", "coverage", "confidence")
    )
    parts = []
    if 2 in classes:
        parts.append(
            f"a PPV of at least {ppv} and an NPV of at least {npv}, each with a confidence of {confidence}"
        )
    if max(classes) > 2:
        also = "of more than two classes " if 2 in classes else ""
        parts.append(
            f"{also}that the sets of at least {coverage} of the images of each class have it, for all "
            f"classes at once with a confidence of {confidence}"
        )
    return "; ".join(parts)
