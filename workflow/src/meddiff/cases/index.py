"""The index of all cases: what models decided of every test image, in columns short enough for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meddiff.cases.settings import ShownDataset, ShownRun, ShownStrata
from meddiff.data.strata import read_strata
from meddiff.errors import DataError
from meddiff.readout.predictions import (
    calibrated,
    class_names,
    class_sets,
    is_correct,
    ood_scores,
    probabilities,
    read_predictions,
    uncertainties,
)
from meddiff.readout.shown_kind import shown_kind
from meddiff.readout.triage import REFER

_DIGITS = 5


@dataclass(frozen=True)
class Decided:
    """One run's table, in the order of the images of its dataset.

    Attributes:
        run: which.
        table: of predictions.
        uncertainty: name of the kind.
        values: [I] of that kind.
    """

    run: ShownRun
    table: pd.DataFrame
    uncertainty: str
    values: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """[I, K] calibrated probabilities, or those of the decision where there are no calibrated ones."""
        fitted = calibrated(self.table)
        return probabilities(self.table) if fitted is None else fitted


def read_decided(dataset: ShownDataset) -> list[Decided]:
    """The predictions of a dataset's runs.

    Raises:
        DataError: if a table has other images, labels or classes than the first one.
    """
    found: list[Decided] = []
    for run in dataset.runs:
        table = read_predictions(run.predictions)
        if class_names(table) != dataset.classes:
            raise DataError(
                f"{run.predictions}: its classes are {class_names(table)}, the dataset's are "
                f"{dataset.classes}; run the workflow again"
            )
        if found:
            table = _ordered(table, found[0].table, run.predictions, dataset.runs[0].predictions)
        kinds = uncertainties(table)
        kind = shown_kind(run.decision, kinds)
        found.append(Decided(run, table, kind, kinds[kind]))
    return found


def _ordered(table: pd.DataFrame, first: pd.DataFrame, path: str, first_path: str) -> pd.DataFrame:
    """With the images in the order of those of `first`."""
    by_id = table.set_index("image_id", drop=False)
    ids = first["image_id"].tolist()
    if set(ids) != set(by_id.index) or len(ids) != len(by_id):
        other = sorted(set(ids) ^ set(by_id.index))
        raise DataError(
            f"{path}: its images are not those of {first_path} (only one of them has {other[0]!r}, for "
            "example): they were made from different splits; run the workflow again"
        )
    ordered = by_id.loc[ids].reset_index(drop=True)
    differing = np.flatnonzero(ordered["label"].to_numpy() != first["label"].to_numpy())
    if len(differing):
        raise DataError(
            f"{path}: image {ids[differing[0]]!r} has another class than in {first_path}; run the workflow "
            "again"
        )
    return ordered


def index_of(dataset: ShownDataset, decided: Sequence[Decided]) -> dict[str, Any]:
    """The index of one dataset, but for what `meddiff.cases.collect` says about its pictures and details.

    Returns:
        ``name``, ``title``, ``classes``, ``ids`` (I), ``labels`` (I), ``strata`` (None, or ``title``,
        ``names`` and ``of`` (I indices of names, -1 where the table has none)) and ``runs`` (`_of_run`).
    """
    table = decided[0].table
    return {
        "name": dataset.name,
        "title": dataset.title,
        "classes": dataset.classes,
        "ids": table["image_id"].tolist(),
        "labels": table["label"].tolist(),
        "strata": dataset.strata and _strata_of(dataset.strata, table["image_id"].tolist()),
        "runs": [_of_run(one) for one in decided],
    }


def _of_run(one: Decided) -> dict[str, Any]:
    """Columns of one run.

    Returns:
        ``model``, ``title``, ``family``, ``decision``; ``prediction`` (I); ``p`` (I, of the class that was
        predicted) and whether it is ``calibrated``; ``u`` (I) and its ``kind``; ``sets`` (I lists of the
        classes that an image may be of; None where nothing promises that); ``ood`` (I, above 0: unlike the
        training data; None) and ``ood_kind``; ``steps`` (I) of ``total``.
    """
    table, run = one.table, one.run
    rows = np.arange(len(table))
    prediction = table["prediction"].to_numpy()
    unlike = ood_scores(table)
    kind = next(iter(unlike), None)
    return {
        **run.model_dump(include={"model", "title", "family", "decision"}),
        "prediction": prediction.tolist(),
        "p": _short(one.shares[rows, prediction]),
        "calibrated": calibrated(table) is not None,
        "u": _short(one.values),
        "kind": one.uncertainty,
        "sets": _sets(table),
        "ood": None if kind is None else _short(unlike[kind]),
        "ood_kind": kind,
        "steps": table["steps_used"].tolist(),
        "total": int(table["steps"].iloc[0]),
    }


def _sets(table: pd.DataFrame) -> list[list[int]] | None:
    """The classes that each image may be of; of two classes the one that is sure, or both."""
    names = class_names(table)
    sets = class_sets(table)
    if sets is None and "triage" in table:
        every = list(range(len(names)))
        return [every if answer == REFER else [names.index(answer)] for answer in table["triage"]]
    return None if sets is None else [np.flatnonzero(row).tolist() for row in sets]


def _strata_of(strata: ShownStrata, ids: Sequence[str]) -> dict[str, Any]:
    table = read_strata(Path(strata.path)).set_index("image_id")["stratum"]
    names = sorted(set(table.reindex(ids).dropna()))
    number = {name: at for at, name in enumerate(names)}
    return {"title": strata.title, "names": names, "of": [number.get(table.get(one), -1) for one in ids]}


def most_telling(decided: Sequence[Decided], most: int) -> np.ndarray:
    """Indices of at most `most` images, in ascending order: those that models err in, or are unsure of.

    First come images that more models decide wrongly, of those the ones that are less certain on average over
    models (ranks, since kinds of uncertainty have different scales), then by the order of images.
    """
    wrong = sum((~is_correct(one.table)).astype(int) for one in decided)
    doubt = sum(pd.Series(one.values).rank(pct=True).to_numpy() for one in decided)
    order = np.lexsort((np.arange(len(wrong)), -doubt, -wrong))
    return np.sort(order[:most])


def per_mille(values: np.ndarray) -> list[int]:
    """Probabilities as whole numbers of thousandths."""
    return np.rint(1000 * values).astype(int).tolist()


def _short(values: np.ndarray) -> list[float]:
    """To a few significant digits: these are shown and sorted by, and never computed with."""
    return [float(f"{value:.{_DIGITS}g}") for value in values]
