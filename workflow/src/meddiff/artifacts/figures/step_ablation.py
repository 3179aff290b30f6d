"""The step ablation: accuracy against the number of classification steps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.layout import in_layout_order
from meddiff.artifacts.published import PUBLISHED, PublishedSteps
from meddiff.artifacts.settings import DECISION_TITLES, Confidence, ScoredLayout, each_with, layout
from meddiff.artifacts.style import (
    BAND_ALPHA,
    DASHES,
    GREY,
    Look,
    band,
    drawing,
    legend_below,
    line,
    looks,
    marker,
    open_marker,
    panels,
    round_ticks,
    shown_datasets,
    ticks_at,
)
from meddiff.config.schema.figure import FigureStyle
from meddiff.evaluate.curves import OURS, STEP_COLUMNS, step_ablation

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from meddiff.pipeline.experiment import Experiment
    from meddiff.runs import ScoringRun

CAPTION = """\
Accuracy when only the first classification steps are used, for the majority vote (solid) and the mean error
(dashed). Every point is computed from the same stored errors. Bands are confidence intervals of the
majority vote. Open points, where there are any, are what the paper's figure shows. Where scoring stops
early (score.stopping), an image keeps its decision from the step at which it stopped.
"""
_PUBLISHED_MARKERS = {"majority": "o", "mean": "D"}
_LABEL_INCHES = 0.062  # of one digit of a tick label
_SIDE_INCHES = 0.75  # of a panel's width that is not axis


class Settings(ScoredLayout):
    """What the figure depends on; `steps` are those that accuracy is shown after."""

    confidence: Confidence
    steps: list[int] = Field(min_length=1)
    style: FigureStyle
    published: PublishedSteps | None = None


def plan(experiment: Experiment) -> list[Wanted]:
    """Wherever something is scored."""
    runs, evaluate = experiment.tested_runs(), experiment.settings.evaluate
    if not runs:
        return []
    settings = Settings(
        **layout(experiment, runs),
        confidence=evaluate.confidence,
        steps=evaluate.ablation_steps,
        style=style_of(experiment, "step_ablation"),
        published=experiment.config.published("step_ablation"),
    )
    return [Wanted(settings, {"errors": [experiment.errors(run) for run in runs]})]


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """The curves from errors files, one a run."""
    from meddiff.scoring.error_file import load_errors

    pairs = each_with(settings.runs, files["errors"], "errors")
    return curves(((run, load_errors(path)) for run, path in pairs), settings)


def curves(runs: Iterable[tuple[ScoringRun, xr.Dataset]], settings: Settings) -> pd.DataFrame:
    """Ours (`meddiff.evaluate.curves.step_ablation`) and published points, in the order of the layout."""
    ours = step_ablation(runs, settings.steps, settings.confidence)
    published = pd.DataFrame(_published(settings), columns=STEP_COLUMNS)
    return in_layout_order(pd.concat([ours, published]) if len(published) else ours, settings)


def _published(settings: Settings) -> list[list]:
    if settings.published is None:
        return []
    return [
        [dataset, model, decision, PUBLISHED, n, accuracy, *[np.nan] * 5]
        for dataset, model in dict.fromkeys((run.dataset, run.model) for run in settings.runs)
        for decision, values in settings.published.datasets.get(dataset, {}).get(model, {}).items()
        for n, accuracy in zip(settings.published.steps, values, strict=True)
    ]


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """Accuracy against classification steps: solid by majority (with its interval), dashed by mean error.

    Args:
        table: as `data` returns it.
    """
    shown = shown_datasets(table, settings)
    by_model = looks(settings.models, settings.style)
    with drawing():
        figure, grid = panels(
            list(shown.values()), "Classification steps per image", "Accuracy (%)", settings.style
        )
        for axes, dataset in zip(grid, shown, strict=True):
            here = table[table["dataset"] == dataset]
            for (model, decision), part in here.groupby(["model", "decision"], sort=False):
                _draw_steps(axes, part, by_model[model], decision)
            _step_axis(axes, sorted(set(here["steps"])), settings.style, min(len(shown), 3))
            round_ticks(axes.yaxis)
        titles = settings.model_titles()
        models = [(line(by_model[name]), titles[name]) for name in titles if (table["model"] == name).any()]
        legend_below(figure, [models, _rule_legend(table, settings)])
    return figure


def _draw_steps(axes: Axes, part: pd.DataFrame, look: Look, decision: str) -> None:
    ours, published = part[part["source"] == OURS], part[part["source"] == PUBLISHED]
    dashes = DASHES if decision == "mean" else "solid"
    if decision == "majority":  # bands of both rules would hide each other; the CSV has both
        limits = ours["ci_low_percent"], ours["ci_high_percent"]
        axes.fill_between(ours["steps"], *limits, color=look.color, alpha=BAND_ALPHA, linewidth=0)
    axes.plot(
        ours["steps"],
        ours["accuracy_percent"],
        color=look.color,
        linestyle=dashes,
        linewidth=look.width if decision == "majority" else 0.75 * look.width,
        marker="o",
        markersize=2.6,
    )
    if not published.empty:
        axes.plot(
            published["steps"],
            published["accuracy_percent"],
            linestyle="none",
            **marker(look.color, _PUBLISHED_MARKERS[decision]),
        )


def _step_axis(axes: Axes, steps: list[int], style: FigureStyle, columns: int) -> None:
    axes.set_xscale("log")
    span = math.log(steps[-1] / steps[0]) or 1.0
    axes.set_xlim(steps[0] * math.exp(-0.03 * span), steps[-1] * math.exp(0.03 * span))
    inches = style.width / columns - _SIDE_INCHES
    ticks_at(axes.xaxis, steps, _tick_labels(steps, inches / span))


def _tick_labels(steps: list[int], inches_per_log: float) -> list[str]:
    """Labels of the ticks, from the last one down; one that would touch its neighbour is left blank."""
    labels, free = [], math.inf
    for step in reversed(steps):
        half = (len(str(step)) + 0.7) * _LABEL_INCHES / 2
        position = math.log(step) * inches_per_log
        fits = position + half <= free
        labels.append(str(step) if fits else "")
        free = position - half if fits else free
    return labels[::-1]


def _rule_legend(table: pd.DataFrame, settings: Settings) -> list[tuple[Artist, str]]:
    neutral = Look(GREY, "solid", 1.4)
    entries = [
        (line(neutral), "majority vote"),
        (line(neutral, DASHES), "mean error"),
        (band(), f"{100 * settings.confidence:g} % interval"),
    ]
    shown = table.loc[table["source"] == PUBLISHED, "decision"].unique()
    return entries + [
        (open_marker(GREY, symbol), f"paper ({DECISION_TITLES[decision]})")
        for decision, symbol in _PUBLISHED_MARKERS.items()
        if decision in shown
    ]


ARTIFACT = Figure("Drawing accuracy against classification steps", CAPTION, Settings, plan, data, draw)
