"""The figure of what fewer classification steps cost: three measures against network passes an image."""

from __future__ import annotations

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from meddiff.evaluate.efficiency import EXACT, FIRST, SEQUENTIAL
from meddiff.evaluate.settings import EfficiencyFigureSettings
from meddiff.evaluate.style import Look, drawing, legend_below, line, looks, panels

_SHOWN = {"accuracy": "Accuracy (%)", "agreement": "Agreement with all steps (%)", "aurc": "AURC"}
_GREY = "#555555"
_BAND_ALPHA = 0.13
_DASHES = (0, (3.2, 1.5))
_TICKS = [c * 10**k for k in range(7) for c in (1, 3)]
_COLUMNS = ["dataset", "model", "rule", "setting", "metric", "passes", "value", "ci_low", "ci_high"]


def efficiency_figure_data(table: pd.DataFrame) -> pd.DataFrame:
    """What the figure shows: the procedures that decide by majority.

    Args:
        table: as `meddiff.evaluate.efficiency.efficiency` returns it.

    Returns:
        Columns dataset, model, rule, setting, metric, passes, value, ci_low, ci_high; accuracy and
        agreement in percent.
    """
    shown = table[(table["decision"] == "majority") & table["metric"].isin(_SHOWN)][_COLUMNS].copy()
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
    sequential = part[part["rule"] == SEQUENTIAL].sort_values("passes")
    axes.plot(
        sequential["passes"],
        sequential["value"],
        color=look.color,
        linewidth=1.6,
        marker="s",
        markersize=3.6,
        markeredgecolor="white",
        markeredgewidth=0.5,
        zorder=4,
    )
    exact = part[part["rule"] == EXACT]
    axes.plot(exact["passes"], exact["value"], **_exact(look.color))


def _exact(color: str) -> dict:
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
    squares = {"marker": "s", "markersize": 3.6, "linewidth": 1.6}
    dots = {"linestyle": _DASHES, "linewidth": 1.0, "marker": "o", "markersize": 2.2}
    band = Patch(color=_GREY, alpha=2 * _BAND_ALPHA, linewidth=0)
    rules: list[tuple[Artist, str]] = [
        (Line2D([], [], color=_GREY, **dots), "same number of steps for all"),
        (Line2D([], [], color=_GREY, **squares), "sequential stopping"),
        (Line2D([], [], **_exact(_GREY)), "exact stopping"),
        (band, f"{100 * settings.confidence:g} % interval"),
    ]
    return [models, rules]
