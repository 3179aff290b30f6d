"""The figure of the audit: accuracy where the rule is right against where it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.layout import row_title, rows_of
from meddiff.artifacts.settings import Confidence, DecidedLayout, layout, one_file
from meddiff.artifacts.style import (
    GREY,
    PANELS_PER_ROW,
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
from meddiff.evaluate.audit import COLUMNS, NUMBERS, RIGHT, RULE, WRONG
from meddiff.result_csv import read_csv

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Accuracy on images where the rule of the strata is right (filled) and where it is wrong (open), within each
class and averaged over the classes that have enough images of both kinds. The further the two are apart,
the more the model's answer goes with the cue.
"""
_SIDES = {RIGHT: "right", WRONG: "wrong"}
_SHIFT = 0.11  # in rows, so that the two intervals of a model do not cover each other
_FILLED = {"marker": "o", "markersize": 4.6}


class Settings(DecidedLayout):
    """What the figure depends on; `confidence` is of the intervals in the table."""

    confidence: Confidence
    style: FigureStyle


def plan(experiment: Experiment) -> list[Wanted]:
    """Where there is the table."""
    names = experiment.audited_datasets()
    if not names:
        return []
    settings = Settings(
        **layout(experiment, experiment.audited_runs(), names),
        confidence=experiment.settings.evaluate.confidence,
        style=style_of(experiment, "audit"),
    )
    return [Wanted(settings, {"table": [experiment.table("audit")]})]


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """Both sides of the rule on the test split, from the CSV of the table."""
    return sides(read_csv(one_file(files, "table"), COLUMNS, "make the audit table again", numbers=NUMBERS))


def sides(table: pd.DataFrame) -> pd.DataFrame:
    """What the figure shows, from the audit's table.

    Returns:
        Columns dataset, model, decision, rule (``right`` or ``wrong``), accuracy_percent, ci_low_percent,
        ci_high_percent, images, seeds, votes; the rule itself first (model ``(rule)``).
    """
    rows = table[table["metric"].isin(_SIDES) & (table["split"] == "test")]
    shown = rows[["dataset", "model", "decision"]].assign(rule=rows["metric"].map(_SIDES))
    for column, name in (("value", "accuracy"), ("ci_low", "ci_low"), ("ci_high", "ci_high")):
        shown[f"{name}_percent"] = 100 * rows[column]
    return shown.assign(images=rows["n"], seeds=rows["seeds"], votes=rows["votes"]).reset_index(drop=True)


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """One panel a dataset, one line a model: filled where the rule is right, open where it is wrong.

    Args:
        table: as `sides` returns it.
    """
    titles = shown_datasets(table, settings)
    entries = [(RULE, "rule"), *rows_of(table, list(settings.model_titles()))]
    names = ["Rule" if model == RULE else row_title(model, how, settings) for model, how in entries]
    by_model = {name: look.color for name, look in looks(settings.models, settings.style).items()}
    with drawing():
        figure, grid = panels(list(titles.values()), "Accuracy (%), mean of the classes", "", settings.style)
        for i, (axes, dataset) in enumerate(zip(grid, titles, strict=True)):
            here = table[table["dataset"] == dataset].set_index(["model", "decision", "rule"])
            for y, (model, how) in enumerate(entries):
                if (model, how, "right") in here.index:
                    pair = (here.loc[(model, how, side)] for side in _SIDES.values())
                    _dumbbell(axes, y, *pair, by_model.get(model, GREY))
            axes.set_yticks(range(len(entries)), names if i % PANELS_PER_ROW == 0 else [])
            axes.set_ylim(len(entries) - 0.5, -0.5)
            axes.set_xlim(-3, 103)
            if here["accuracy_percent"].isna().all():
                axes.text(50, len(entries) / 2 - 0.5, "not defined: too few images", ha="center", va="center")
        legend_below(figure, [_legend(settings)])
    return figure


def _dumbbell(axes: Axes, y: int, right: pd.Series, wrong: pd.Series, color: str) -> None:
    ends = [wrong["accuracy_percent"], right["accuracy_percent"]]
    axes.plot(ends, [y + _SHIFT, y - _SHIFT], color=color, alpha=0.3, linewidth=2.4)
    for side, height, look in (
        (right, y - _SHIFT, {**_FILLED, "color": color}),
        (wrong, y + _SHIFT, marker(color)),
    ):
        interval = [side["ci_low_percent"], side["ci_high_percent"]]
        axes.plot(interval, [height, height], color=color, linewidth=1.0)
        axes.plot([side["accuracy_percent"]], [height], linestyle="none", **look)


def _legend(settings: Settings) -> list[tuple[Artist, str]]:
    from matplotlib.lines import Line2D

    return [
        (Line2D([], [], linestyle="none", color=GREY, **_FILLED), "the rule is right"),
        (open_marker(GREY), "the rule is wrong"),
        (line(Look(GREY, "solid", 0.9)), f"{100 * settings.confidence:g} % interval"),
    ]


ARTIFACT = Figure(
    "Drawing accuracy where the rule of the strata is right and where it is wrong",
    CAPTION,
    Settings,
    plan,
    data,
    draw,
)
