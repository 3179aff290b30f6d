"""Draw the figures of the paper from their tidy tables (`meddiff.evaluate.figure_data`)."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from meddiff.artifacts.settings import DECISION_TITLES, Layout
from meddiff.artifacts.style import Look, drawing, legend_below, line, looks, marker, open_marker, panels
from meddiff.config.schema.figure import FigureStyle
from meddiff.evaluate.figure_data import OURS, PUBLISHED, PUBLISHED_VALIDATION
from meddiff.evaluate.settings import StepAblationSettings, UncertaintySettings

_GREY = "#555555"
_MEAN_DASHES = (0, (3.2, 1.5))
_PUBLISHED_MARKERS = {"majority": "o", "mean": "D"}
_PUBLISHED_SPLITS = {PUBLISHED: "o", PUBLISHED_VALIDATION: "^"}
_BAND_ALPHA = 0.15
_LABEL_INCHES = 0.062  # of one digit of a tick label
_SIDE_INCHES = 0.75  # of a panel's width that is not axis


def draw_step_ablation(table: pd.DataFrame, settings: StepAblationSettings) -> Figure:
    """Accuracy against classification steps: solid by majority (with its interval), dashed by mean error.

    Args:
        table: as `meddiff.evaluate.figure_data.step_ablation` returns it.
    """
    shown = _datasets(table, settings)
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
            axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
        titles = settings.model_titles()
        models = [(line(by_model[name]), titles[name]) for name in titles if (table["model"] == name).any()]
        legend_below(figure, [models, _rule_legend(table, settings)])
    return figure


def draw_uncertainty(table: pd.DataFrame, settings: UncertaintySettings) -> Figure:
    """Accuracy of the remaining images against the removed share; diffusion thick, baselines dashed.

    Args:
        table: as `meddiff.evaluate.figure_data.removal_curves` returns it.
    """
    shown = _datasets(table, settings)
    by_model = looks(settings.models, settings.style)
    with drawing():
        figure, grid = panels(
            list(shown.values()),
            "Most uncertain images removed (%)",
            "Accuracy of the rest (%)",
            settings.style,
        )
        for axes, dataset in zip(grid, shown, strict=True):
            here = table[table["dataset"] == dataset]
            for (model, decision), part in here.groupby(["model", "decision"], sort=False):
                _draw_removal(axes, part, by_model[model], decision)
            axes.set_xlim(-1.5, 91.5)
            axes.xaxis.set_major_locator(FixedLocator(range(0, 91, 15)))
            axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
        legend_below(figure, _removal_legend(table, settings, by_model))
    return figure


def _draw_steps(axes: Axes, part: pd.DataFrame, look: Look, decision: str) -> None:
    ours, published = part[part["source"] == OURS], part[part["source"] == PUBLISHED]
    dashes = _MEAN_DASHES if decision == "mean" else "solid"
    if decision == "majority":  # bands of both rules would hide each other; the CSV has both
        band = ours["ci_low_percent"], ours["ci_high_percent"]
        axes.fill_between(ours["steps"], *band, color=look.color, alpha=_BAND_ALPHA, linewidth=0)
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
    axes.xaxis.set_major_locator(FixedLocator(steps))
    axes.xaxis.set_minor_locator(NullLocator())
    inches = style.width / columns - _SIDE_INCHES
    axes.xaxis.set_major_formatter(FixedFormatter(_tick_labels(steps, inches / span)))


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


def _draw_removal(axes: Axes, part: pd.DataFrame, look: Look, decision: str) -> None:
    ours = part[part["source"] == OURS]
    if decision != "softmax":  # bands of all baselines would hide each other; the CSV has them
        band = ours["ci_low_percent"], ours["ci_high_percent"]
        axes.fill_between(ours["removed_percent"], *band, color=look.color, alpha=_BAND_ALPHA, linewidth=0)
    axes.plot(
        ours["removed_percent"],
        ours["accuracy_percent"],
        color=look.color,
        linestyle=_MEAN_DASHES if decision == "mean" else look.dashes,
        linewidth=look.width,
        zorder=2.0 + look.width,  # thick over thin
    )
    for source, symbol in _PUBLISHED_SPLITS.items():
        published = part[part["source"] == source]
        points = published["removed_percent"], published["accuracy_percent"]
        axes.plot(*points, linestyle="none", zorder=5, **marker(look.color, symbol))


def _rule_legend(table: pd.DataFrame, settings: StepAblationSettings) -> list[tuple[Artist, str]]:
    neutral = Look(_GREY, "solid", 1.4)
    band = Patch(color=_GREY, alpha=2 * _BAND_ALPHA, linewidth=0)
    entries = [
        (line(neutral), "majority vote"),
        (line(neutral, _MEAN_DASHES), "mean error"),
        (band, f"{100 * settings.confidence:g} % interval"),
    ]
    shown = table.loc[table["source"] == PUBLISHED, "decision"].unique()
    return entries + [
        (open_marker(_GREY, symbol), f"paper ({DECISION_TITLES[decision]})")
        for decision, symbol in _PUBLISHED_MARKERS.items()
        if decision in shown
    ]


def _removal_legend(
    table: pd.DataFrame, settings: UncertaintySettings, by_model: dict[str, Look]
) -> list[list[tuple[Artist, str]]]:
    drawn = table.loc[table["source"] == OURS, ["model", "decision"]].drop_duplicates()
    rules = drawn.groupby("model")["decision"].nunique()
    diffusion, baselines = [], []
    for model in settings.models:
        for decision in drawn.loc[drawn["model"] == model.name, "decision"]:
            suffix = f" ({DECISION_TITLES[decision]})" if rules[model.name] > 1 else ""
            handle = line(by_model[model.name], _MEAN_DASHES if decision == "mean" else None)
            group = diffusion if model.family == "diffusion" else baselines
            group.append((handle, model.title + suffix))
    notes = []
    if diffusion:
        band = Patch(color=_GREY, alpha=2 * _BAND_ALPHA, linewidth=0)
        notes.append((band, f"{100 * settings.confidence:g} % interval"))
    for source, title in ((PUBLISHED, "paper"), (PUBLISHED_VALIDATION, "paper, of validation images")):
        if (table["source"] == source).any():
            notes.append((open_marker(_GREY, _PUBLISHED_SPLITS[source]), title))
    groups = [diffusion + notes, baselines]
    return [group for group in groups if group]


def _datasets(table: pd.DataFrame, layout: Layout) -> dict[str, str]:
    present = set(table["dataset"])
    return {name: title for name, title in layout.dataset_titles().items() if name in present}
