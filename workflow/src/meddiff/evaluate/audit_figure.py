"""The figure of the audit: accuracy where the rule is right against where it is wrong."""

from __future__ import annotations

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from meddiff.artifacts.layout import row_title, rows_of
from meddiff.artifacts.style import PANELS_PER_ROW, drawing, legend_below, looks, marker, panels
from meddiff.evaluate.audit import RIGHT, RULE, WRONG
from meddiff.evaluate.settings import AuditFigureSettings

_GREY = "#555555"
_SIDES = {RIGHT: "right", WRONG: "wrong"}
_SHIFT = 0.11  # in rows, so that the two intervals of a model do not cover each other


def audit_figure_data(table: pd.DataFrame) -> pd.DataFrame:
    """What the figure shows, from the audit's table.

    Returns:
        Columns dataset, model, decision, rule (``right`` or ``wrong``), accuracy_percent, ci_low_percent,
        ci_high_percent, images, seeds, votes; the rule itself first (model ``(rule)``).
    """
    rows = table[table["metric"].isin(_SIDES) & (table["split"] == "test")]
    shown = rows[["dataset", "model", "decision"]].assign(rule=rows["metric"].map(_SIDES))
    for column in ("value", "ci_low", "ci_high"):
        name = "accuracy" if column == "value" else column
        shown[f"{name}_percent"] = 100 * rows[column]
    return shown.assign(images=rows["n"], seeds=rows["seeds"], votes=rows["votes"]).reset_index(drop=True)


def draw_audit(table: pd.DataFrame, settings: AuditFigureSettings) -> Figure:
    """One panel a dataset, one line a model: filled where the rule is right, open where it is wrong.

    Args:
        table: as `audit_figure_data` returns it.
    """
    titles = {
        name: title for name, title in settings.dataset_titles().items() if (table["dataset"] == name).any()
    }
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
                    _dumbbell(axes, y, *pair, by_model.get(model, _GREY))
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
        (right, y - _SHIFT, {"marker": "o", "markersize": 4.6, "color": color}),
        (wrong, y + _SHIFT, marker(color)),
    ):
        interval = [side["ci_low_percent"], side["ci_high_percent"]]
        axes.plot(interval, [height, height], color=color, linewidth=1.0)
        axes.plot([side["accuracy_percent"]], [height], linestyle="none", **look)


def _legend(settings: AuditFigureSettings) -> list[tuple[Artist, str]]:
    filled = Line2D([], [], linestyle="none", marker="o", markersize=4.6, color=_GREY)
    interval = Line2D([], [], color=_GREY, linewidth=0.9)
    return [
        (filled, "the rule is right"),
        (Line2D([], [], linestyle="none", **marker(_GREY)), "the rule is wrong"),
        (interval, f"{100 * settings.confidence:g} % interval"),
    ]
