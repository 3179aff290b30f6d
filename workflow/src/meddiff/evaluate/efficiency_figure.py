"""The figure of what fewer classification steps cost: three measures against network passes an image."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from meddiff.artifacts.style import Look, drawing, legend_below, line, looks, panels
from meddiff.evaluate.replay import EXACT, FIRST, SEQUENTIAL, SPREAD
from meddiff.evaluate.settings import EfficiencyFigureSettings

_SHOWN = {"accuracy": "Accuracy (%)", "agreement": "Agreement with all steps (%)", "aurc": "AURC"}
_GREY = "#555555"
_BAND_ALPHA = 0.13
_DASHES = (0, (3.2, 1.5))
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
_SQUARES = {"marker": "s", "markersize": 3.6, "markeredgewidth": 0.5}
_SEQUENTIAL: dict[str, dict[str, Any]] = {
    SEQUENTIAL: {"linewidth": 1.6, "markeredgecolor": "white", **_SQUARES},
    SPREAD: {"linewidth": 0.9, "markerfacecolor": "white", **_SQUARES},
}
_FURTHER_TITLES = {"weighted_votes": "weighted votes", "low_discrepancy": "low-discrepancy levels"}
_FURTHER_TITLES |= {"antithetic": "antithetic noise", "uniform": "uniform levels"}


def efficiency_figure_data(table: pd.DataFrame) -> pd.DataFrame:
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


def draw_efficiency(table: pd.DataFrame, settings: EfficiencyFigureSettings) -> Figure:
    """One row of panels a dataset: dashed for the first n steps of all images, solid for stopping rules.

    Args:
        table: as `efficiency_figure_data` returns it.
    """
    present = set(table["dataset"])
    titles = {name: title for name, title in settings.dataset_titles().items() if name in present}
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
            axes.xaxis.set_major_locator(FixedLocator(_TICKS))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
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
    axes.plot(
        first["passes"],
        first["value"],
        color=look.color,
        linestyle=_DASHES,
        linewidth=1.0,
        marker="o",
        markersize=2.2,
    )
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
    table: pd.DataFrame, settings: EfficiencyFigureSettings, by_model: dict[str, Look]
) -> list[list[tuple[Artist, str]]]:
    titles = settings.model_titles()
    models = [(line(by_model[name]), titles[name]) for name in titles if (table["model"] == name).any()]
    dots = {"linestyle": _DASHES, "linewidth": 1.0, "marker": "o", "markersize": 2.2}
    band = Patch(color=_GREY, alpha=2 * _BAND_ALPHA, linewidth=0)
    rules: list[tuple[Artist, str]] = [
        (Line2D([], [], color=_GREY, **dots), "same number of steps for all"),
        (Line2D([], [], color=_GREY, **_SEQUENTIAL[SEQUENTIAL]), "sequential stopping"),
        (Line2D([], [], color=_GREY, **_SEQUENTIAL[SPREAD]), "sequential, steps in spread order"),
        (Line2D([], [], **_exact(_GREY)), "exact stopping"),
        (band, f"{100 * settings.confidence:g} % interval"),
    ]
    further = [name for name in _FURTHER if (table["further"] == name).any()]
    thin = [(Line2D([], [], **_thin(name, _GREY)), _FURTHER_TITLES[name]) for name in further]
    return [models, rules, *([thin] if thin else [])]
