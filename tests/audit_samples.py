"""A dataset with a planted cue, and predictions on it, for the tests of the audit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meddiff.evaluate import audit as auditing
from meddiff.evaluate.audit import Stratified
from meddiff.evaluate.statistics import Resampling
from meddiff.readout.from_logits import from_probabilities
from meddiff.runs import Run

RESAMPLING = Resampling(bootstrap_samples=100, confidence=0.9, bootstrap_seed=0)


def strata_of(counts: dict[tuple[str, str, int], int]) -> pd.DataFrame:
    """A table of strata with `counts[split, stratum, label]` images, each a group of its own."""
    rows = [key for key, count in counts.items() for _ in range(count)]
    frame = pd.DataFrame(rows, columns=["split", "stratum", "label"])
    ids = [f"{split}{i}" for i, split in enumerate(frame["split"])]
    return frame.assign(image_id=ids, group=ids)


# The old archive is nearly all melanoma and the new one nearly all benign, in both splits.
STRATA = strata_of(
    {(split, "old", 0): 20 for split in ("train", "valid", "test")}
    | {(split, "old", 1): 180 for split in ("train", "valid", "test")}
    | {(split, "new", 0): 170 for split in ("train", "valid", "test")}
    | {(split, "new", 1): 30 for split in ("train", "valid", "test")}
)
TEST = STRATA[STRATA["split"] == "test"]
LABEL, OLD = TEST["label"].to_numpy(), (TEST["stratum"] == "old").to_numpy()
NOISE = np.random.default_rng(0).random(len(TEST)) < 0.2


def predictions_of(
    strata: pd.DataFrame, prediction: np.ndarray, score: np.ndarray | None = None
) -> pd.DataFrame:
    """Predictions on the test split; `score` is the probability of class 1."""
    test = strata[strata["split"] == "test"]
    p = 0.1 + 0.8 * prediction if score is None else score
    ids = test["image_id"].tolist()
    return from_probabilities(ids, ids, test["label"].to_numpy(), np.stack([1 - p, p], axis=1))


def runs_of(*models: str) -> list[Run]:
    """One run of each model."""
    return [Run(dataset="isic", model=model, seed=0, decision="softmax") for model in models]


def audit_of(
    pairs: list[tuple[Run, pd.DataFrame]], strata: pd.DataFrame = STRATA, classes: int = 2
) -> pd.DataFrame:
    """The audit of some runs; strata are shown from the old archive to the new one."""
    return auditing.audit(pairs, {"isic": Stratified(strata, ["old", "new"], classes)}, RESAMPLING)


def result_of(strata: pd.DataFrame, **models: np.ndarray) -> pd.DataFrame:
    """The audit of models that predict this."""
    tables = [predictions_of(strata, prediction) for prediction in models.values()]
    return audit_of(list(zip(runs_of(*models), tables, strict=True)), strata)
