"""The figure of images unlike the training data: AUROC of every shift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.settings import Confidence, Layout, layout, one_file
from meddiff.artifacts.style import (
    GREY,
    Look,
    drawing,
    legend_below,
    line,
    looks,
    marker,
    open_marker,
    panels,
    shown_datasets,
)
from meddiff.config.schema.figure import FigureStyle
from meddiff.evaluate.ood import COLUMNS, NUMBERS, TEST, WORST
from meddiff.pipeline.shifts import Shifts
from meddiff.result_csv import read_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Images unlike the training data: AUROC of telling those of each shift from test images. Filled: by the error
profile of a diffusion classifier, and the energy of a baseline's logits. Open: by how uncertain the class is
(vote entropy, maximum softmax).
"""
_FILLED, _OPEN = ("profile", "energy"), ("vote_entropy", "max_softmax")
_LOOK = {"marker": "o", "markersize": 4.2}
_CHANCE = 0.5
_ROW = 0.8  # height that the models of a shift have together


class Settings(Layout):
    """What the figure depends on; `confidence` is of the intervals in the table."""

    confidence: Confidence
    style: FigureStyle


def plan(experiment: Experiment) -> list[Wanted]:
    """Where there is the table."""
    datasets = Shifts(experiment).datasets()
    runs = [run for run in experiment.trained_runs() if run.dataset in datasets]
    if not runs:
        return []
    settings = Settings(
        **layout(experiment, runs, datasets),
        confidence=experiment.settings.evaluate.confidence,
        style=style_of(experiment, "ood", FigureStyle(height=4.6)),
    )
    return [Wanted(settings, {"table": [experiment.table("ood")]})]


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """Columns dataset, model, score, shift, auroc, ci_low, ci_high, images, from the CSV of the table."""
    table = read_csv(one_file(files, "table"), COLUMNS, "make the ood table again", numbers=NUMBERS)
    rows = table[table["score"].isin([*_FILLED, *_OPEN]) & ~table["shift"].isin([TEST, WORST])]
    columns = ["dataset", "model", "score", "shift", "auroc", "ci_low", "ci_high", "images"]
    return rows[columns].reset_index(drop=True)


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """One panel a dataset, one row a shift, in it one line a model."""
    shown, by_model = shown_datasets(table, settings), looks(settings.models, settings.style)
    titles = settings.dataset_titles()
    with drawing():
        figure, grid = panels(list(shown.values()), "AUROC", "", settings.style)
        for axes, dataset in zip(grid, shown, strict=True):
            here = table[table["dataset"] == dataset]
            shifts = list(dict.fromkeys(here["shift"]))
            offsets = np.linspace(-_ROW / 2, _ROW / 2, len(by_model) + 2)[1:-1]
            for offset, (model, look) in zip(offsets, by_model.items(), strict=True):
                _points(axes, here[here["model"] == model], shifts, offset, look.color)
            axes.axvline(_CHANCE, color=GREY, linewidth=0.8, linestyle="dotted")
            names = [titles.get(name, name.replace("_", " ")) for name in shifts]
            axes.set_yticks(range(len(shifts)), names)
            axes.axhline(len(shifts) - 1.5, color=GREY, linewidth=0.7)
            axes.set_ylim(len(shifts) - 0.5, -0.5)
            axes.set_xlim(-0.03, 1.03)
            axes.grid(visible=False, axis="y")
        models = [
            (line(Look(by_model[n].color, "solid", 1.2)), t) for n, t in settings.model_titles().items()
        ]
        legend_below(figure, [models, _legend(settings)])
    return figure


def _points(axes: Axes, rows: pd.DataFrame, shifts: list[str], offset: float, color: str) -> None:
    for row in rows.itertuples():
        filled, height = row.score in _FILLED, shifts.index(row.shift) + offset
        if filled:
            axes.plot([row.ci_low, row.ci_high], [height, height], color=color, linewidth=1.0)
        look = {**_LOOK, "color": color} if filled else marker(color)
        axes.plot([row.auroc], [height], linestyle="none", **look)


def _legend(settings: Settings) -> list:
    from matplotlib.lines import Line2D

    return [
        (Line2D([], [], linestyle="none", color=GREY, **_LOOK), "error profile, energy"),
        (open_marker(GREY), "vote entropy, max. softmax"),
        (line(Look(GREY, "solid", 1.0)), f"{100 * settings.confidence:g} % interval"),
    ]


ARTIFACT = Figure("Drawing how images unlike the training data are told", CAPTION, Settings, plan, data, draw)
