"""The figure of what fewer classification steps cost: three measures against network passes an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.settings import Confidence, ScoredLayout, layout, one_file
from meddiff.artifacts.style import (
    DASHES,
    GREY,
    Look,
    band,
    drawing,
    legend_below,
    line,
    looks,
    panels,
    round_ticks,
    shown_datasets,
    ticks_at,
)
from meddiff.config.schema.figure import FigureStyle
from meddiff.evaluate.efficiency import COLUMNS, NUMBERS
from meddiff.evaluate.replay import EXACT, FIRST, SEQUENTIAL, SPREAD
from meddiff.result_csv import read_csv

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Accuracy, agreement with the majority of all steps, and area under the risk-coverage curve (lower is better)
against the mean number of network passes per image: the same number of steps for all images (dashed, with
its confidence interval), sequential stopping at several levels (squares), exact stopping (diamond).
Intervals of the stopping rules, paired with those of all steps, are in the table.
"""
_SHOWN = {"accuracy": "Accuracy (%)", "agreement": "Agreement with all steps (%)", "aurc": "AURC"}
_BAND_ALPHA = 0.13
_TICKS = [c * 10**k for k in range(7) for c in (1, 3)]
_COLUMNS = ["dataset", "model", "decision", "levels", "rule", "setting", "metric", "passes"]
_COLUMNS += ["value", "ci_low", "ci_high"]
# What may be shown beside the majority of all images' first steps: marker, and line.
_FURTHER: dict[str, tuple[str, Any]] = {
    "weighted_votes": ("^", (0, (1.2, 1.3))),
    "low_discrepancy": ("v", (0, (5, 1.2, 1.2, 1.2))),
    "antithetic": ("x", (0, (1.0, 2.2))),
    "uniform": ("+", (0, (7, 2))),
}
_DOTS = {"linestyle": DASHES, "linewidth": 1.0, "marker": "o", "markersize": 2.2}
_SQUARES = {"marker": "s", "markersize": 3.6, "markeredgewidth": 0.5}
_SEQUENTIAL: dict[str, dict[str, Any]] = {
    SEQUENTIAL: {"linewidth": 1.6, "markeredgecolor": "white", **_SQUARES},
    SPREAD: {"linewidth": 0.9, "markerfacecolor": "white", **_SQUARES},
}
_FURTHER_TITLES = {"weighted_votes": "weighted votes", "low_discrepancy": "low-discrepancy levels"}
_FURTHER_TITLES |= {"antithetic": "antithetic noise", "uniform": "uniform levels"}


class Settings(ScoredLayout):
    """What the figure depends on; `confidence` is of the intervals in the table."""

    confidence: Confidence
    style: FigureStyle


def plan(experiment: Experiment) -> list[Wanted]:
    """Where there is the table."""
    runs = experiment.replayable_runs()
    if not runs:
        return []
    settings = Settings(
        **layout(experiment, runs),
        confidence=experiment.settings.evaluate.confidence,
        style=style_of(experiment, "efficiency", FigureStyle(width=9.0, height=2.6)),
    )
    return [Wanted(settings, {"table": [experiment.table("efficiency")]})]


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """The procedures that decide by votes, from the CSV of the table."""
    return by_votes(
        read_csv(one_file(files, "table"), COLUMNS, "make the efficiency table again", numbers=NUMBERS)
    )


def by_votes(table: pd.DataFrame) -> pd.DataFrame:
    """What the figure shows: the procedures that decide by votes.

    Args:
        table: as `meddiff.evaluate.efficiency.efficiency` returns it.

    Returns:
        Columns dataset, model, further (empty, or what is different: ``weighted_votes`` or a kind of noise
        levels), rule, setting, metric, passes, value, ci_low, ci_high; accuracy and agreement in percent.
    """
    votes = table["decision"].isin(["majority", "weighted_votes"]) & table["metric"].isin(_SHOWN)
    shown = table.loc[votes, _COLUMNS].copy()
    own = table["levels"].iloc[0]
    further = shown["levels"].where(shown["levels"] != own, "")
    further = further.where(shown["decision"] == "majority", shown["decision"])
    shown = shown.drop(columns=["decision", "levels"])
    shown.insert(2, "further", further)
    percent = shown["metric"] != "aurc"
    numbers = ["value", "ci_low", "ci_high"]
    shown.loc[percent, numbers] *= 100
    return shown.reset_index(drop=True)


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """One row of panels a dataset: dashed for the first n steps of all images, solid for stopping rules.

    Args:
        table: as `by_votes` returns it.
    """
    titles = shown_datasets(table, settings)
    by_model = looks(settings.models, settings.style)
    with drawing():
        figure, grid = panels(
            [title for title in titles.values() for _ in _SHOWN],
            "Network passes per image",
            "",
            settings.style,
        )
        cells = [(dataset, metric) for dataset in titles for metric in _SHOWN]
        for axes, (dataset, metric) in zip(grid, cells, strict=True):
            here = table[(table["dataset"] == dataset) & (table["metric"] == metric)]
            for model, part in here.groupby("model", sort=False):
                _draw(axes, part, by_model[model])
            axes.set_ylabel(_SHOWN[metric])
            axes.set_xscale("log")
            ticks_at(axes.xaxis, _TICKS, [f"{tick:g}" for tick in _TICKS])
            round_ticks(axes.yaxis, 6)
            axes.set_xlim(here["passes"].min() / 1.25, here["passes"].max() * 1.25)
        legend_below(figure, _legend(table, settings, by_model))
    return figure


def _draw(axes: Axes, part: pd.DataFrame, look: Look) -> None:
    for further, rows in part[part["further"] != ""].groupby("further", sort=False):
        rows = rows.sort_values("passes")
        axes.plot(rows["passes"], rows["value"], **_thin(further, look.color))
    part = part[part["further"] == ""]
    first = part[part["rule"] == FIRST].sort_values("passes")
    axes.fill_between(
        first["passes"], first["ci_low"], first["ci_high"], color=look.color, alpha=_BAND_ALPHA, linewidth=0
    )
    axes.plot(first["passes"], first["value"], color=look.color, **_DOTS)
    for rule, form in _SEQUENTIAL.items():
        sequential = part[part["rule"] == rule].sort_values("passes")
        axes.plot(sequential["passes"], sequential["value"], color=look.color, zorder=4, **form)
    exact = part[part["rule"] == EXACT]
    axes.plot(exact["passes"], exact["value"], **_exact(look.color))


def _thin(further: str, color: str) -> dict[str, Any]:
    marker, dashes = _FURTHER[further]
    return {
        "color": color,
        "linestyle": dashes,
        "linewidth": 0.9,
        "marker": marker,
        "markersize": 3.4,
        "markerfacecolor": "white",
        "markeredgewidth": 0.8,
    }


def _exact(color: str) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": "D",
        "markersize": 4.6,
        "markerfacecolor": color,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
        "zorder": 5,
    }


def _legend(
    table: pd.DataFrame, settings: Settings, by_model: dict[str, Look]
) -> list[list[tuple[Artist, str]]]:
    from matplotlib.lines import Line2D

    titles = settings.model_titles()
    models = [(line(by_model[name]), titles[name]) for name in titles if (table["model"] == name).any()]
    rules: list[tuple[Artist, str]] = [
        (Line2D([], [], color=GREY, **_DOTS), "same number of steps for all"),
        (Line2D([], [], color=GREY, **_SEQUENTIAL[SEQUENTIAL]), "sequential stopping"),
        (Line2D([], [], color=GREY, **_SEQUENTIAL[SPREAD]), "sequential, steps in spread order"),
        (Line2D([], [], **_exact(GREY)), "exact stopping"),
        (band(2 * _BAND_ALPHA), f"{100 * settings.confidence:g} % interval"),
    ]
    further = [name for name in _FURTHER if (table["further"] == name).any()]
    thin = [(Line2D([], [], **_thin(name, GREY)), _FURTHER_TITLES[name]) for name in further]
    return [models, rules, *([thin] if thin else [])]


ARTIFACT = Figure("Drawing accuracy against network passes", CAPTION, Settings, plan, data, draw)
