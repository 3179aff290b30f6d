"""What the tables have in common: order of rows, row titles, averages over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from meddiff.artifacts.render import Grid
from meddiff.artifacts.settings import DECISION_TITLES, Layout, decision_title
from meddiff.config.datasets.folds import fold_number
from meddiff.runs import is_pair

_SEVERAL_SEEDS = (
    "Mean over seeds ± standard deviation between seeds; the interval is that of the mean for other images "
    "and other seeds, and very wide for two seeds, which say little of how far seeds differ."
)
_SEVERAL_OF_BOTH = (
    " Of a diffusion model each seed is a training, and its value the mean over {votes} vote seeds, which "
    "are those of the noise that images are scored with."
)
_SEVERAL_VOTES = (
    "Of a diffusion model: mean over {votes} vote seeds, which are those of the noise that images are scored "
    "with, of one training ± standard deviation between them; the interval is that of the mean for other "
    "images and other vote seeds, not for other trainings, and very wide for two vote seeds."
)

ELSEWHERE_WORDS = (
    "A → B: trained on A and calibrated on its validation split, tested on B, whose images of classes that "
    "the models do not have are left out."
)


FOLD_MEANS = "Of a dataset with folds the mean over its folds is shown; the CSV has each of them, too."
FOLDS_WORDS = (
    "Each fold of a dataset is shown on its own: the folds test different images and share training images."
)
_SEVERAL_FOLDS = (
    "Of a dataset with folds: mean over folds ± standard deviation between folds, which test different "
    "images and share training images; the interval is that of the mean for other images to train and to "
    "test on, by Nadeau and Bengio's corrected variance between folds, and never narrower than the test "
    "images alone leave open."
)


def with_preset(grids: Sequence[Grid], settings: Layout, *, beside_published: bool = False) -> list[Grid]:
    """`grids` whose captions say which preset their models have, and what was tested elsewhere.

    Args:
        grids: all grids of a table.
        settings: its layout.
        beside_published: whether the paper's values are in them.
    """
    words = [_preset_words(settings, beside_published)] * (settings.preset is not None)
    if settings.folds or any(fold_number(run.dataset) for run in settings.runs):
        words.append(FOLD_MEANS if settings.folds else FOLDS_WORDS)
    words += [ELSEWHERE_WORDS] * any(is_pair(run.dataset) for run in settings.runs)
    return [replace(grid, caption=" ".join([grid.caption, *words])) for grid in grids]


def _preset_words(settings: Layout, beside_published: bool) -> str:
    if settings.preset == "official":
        weights = ", with the weights that the authors released" * settings.released
        return f"Preset official: as the published code does it, known faults included{weights}."
    further = ", so the paper's values are of a procedure that differs on purpose" * beside_published
    return f"Preset fixed: known faults of the published code are corrected{further}."


def several_seeds(table: pd.DataFrame) -> str:
    """What a caption says of means over seeds and over folds, if there are some.

    Args:
        table: with columns seeds and votes, as of `over_seeds`, and folds where there are means of these.
    """
    trainings, votes = int(table["seeds"].max()), vote_seeds(table)
    words = [_SEVERAL_FOLDS] * ("folds" in table)
    if trainings > 1:
        words.append(_SEVERAL_SEEDS + _SEVERAL_OF_BOTH.format(votes=votes) * (votes > 1))
    elif votes > 1:
        words.append(_SEVERAL_VOTES.format(votes=votes))
    return " ".join(words)


def vote_seeds(table: pd.DataFrame) -> int:
    """The number of vote seeds of a training, 0 without votes, from a table with that column."""
    most = pd.to_numeric(table["votes"]).max()
    return 0 if pd.isna(most) else int(most)


def image_count(row: Any) -> str:
    """How many images a row of `over_seeds` is of: a number, or the fewest and the most of a seed."""
    return str(row.n) if row.n == row.n_largest else f"{row.n}–{row.n_largest}"


def in_layout_order(table: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """`table` sorted by dataset, model and decision as in the layout, then by seeds if it has them."""
    ranks = {
        "dataset": {name: i for i, name in enumerate(layout.dataset_order())},
        "model": {name: i for i, name in enumerate(layout.model_titles())},
        "decision": {name: i for i, name in enumerate(decisions_of(table))},
    }
    # In a table of means `votes` is a number of them.
    keys = [*ranks, *(column for column in ("seed", "votes") if {"seed", column} <= {*table.columns})]
    return table.sort_values(
        keys,
        key=lambda column: column.map(ranks[column.name]) if column.name in ranks else column,
        kind="stable",
    ).reset_index(drop=True)


def decisions_of(table: pd.DataFrame) -> list[str]:
    """The decisions that `table` has, in the order in which they are shown."""
    there = table["decision"].unique().tolist()
    known = [name for name in DECISION_TITLES if name in there]
    return [*known, *(name for name in there if name not in known)]


def rows_of(table: pd.DataFrame, models: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs (model, decision) that `table` has, in the order of `models` and of the decisions."""
    there = set(zip(table["model"], table["decision"], strict=True))
    return [
        (model, decision)
        for model in models
        for decision in decisions_of(table)
        if (model, decision) in there
    ]


def row_title(model: str, decision: str, layout: Layout) -> str:
    """Title of a model, with the decision rule where a model has several."""
    title = layout.model_titles()[model]
    return title if decision == "softmax" else f"{title} ({decision_title(decision)})"
