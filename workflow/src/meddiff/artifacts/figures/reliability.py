"""The reliability figure: how frequent events are that have a probability, before and after calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.layout import in_layout_order, row_title, rows_of
from meddiff.artifacts.settings import DecidedLayout, each_with, layout
from meddiff.artifacts.style import (
    BAND_ALPHA,
    DASHES,
    GREY,
    Look,
    band,
    drawing,
    legend_below,
    line,
    panels,
    ticks_at,
)
from meddiff.config.schema.figure import FigureStyle
from meddiff.evaluate.acting.reliability import (
    CALIBRATED,
    COLUMNS,
    OBSERVED,
    PROBABILITIES,
    RAW,
    reliability_curves,
)
from meddiff.evaluate.metrics import catalogue
from meddiff.evaluate.over_seeds import over_seeds
from meddiff.evaluate.statistics import Resampling
from meddiff.evaluate.summary import read_all_metrics
from meddiff.readout.predictions import read_predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
How frequent an event is among test images, by its probability before calibration (grey, dashed) and after it
(coloured); right probabilities lie on the diagonal. The event is the last one of two classes, and with more
classes that the predicted one is right. Bands are pointwise intervals of other images; below are the numbers
of images.
"""
MEASURED = ("calibration_slope", "calibration_intercept", "brier", "nll", "smooth_ece", "ece")
_SHOWN = {"calibration_slope": "slope", "ece": "ECE", "nll": "NLL"}
_BOX = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1}
_STRIP = 0.18  # height of the histograms
_BEFORE, _AFTER = Look(GREY, DASHES, 1.2), 1.8


class Settings(DecidedLayout, Resampling):
    """What the figure depends on."""

    style: FigureStyle


def plan(experiment: Experiment) -> list[Wanted]:
    """One a dataset, wherever the validation split is scored."""
    if not experiment.settings.score.validation:
        return []
    found = []
    decided = experiment.decided_runs()
    for dataset, tested_on in dict.fromkeys((run.dataset, run.tested_on) for run in decided):
        runs = [run for run in decided if (run.dataset, run.tested_on) == (dataset, tested_on)]
        settings = Settings(
            **layout(experiment, runs, [dataset]),
            **experiment.resampling(),
            style=style_of(experiment, "reliability", FigureStyle(height=2.5)),
        )
        files = {
            "predictions": [experiment.predictions(run) for run in runs],
            "metrics": [experiment.metrics(run) for run in runs],
        }
        part = dataset if tested_on is None else f"{dataset}_tested_on_{tested_on}"
        found.append(Wanted(settings, files, part=part))
    return found


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """Curves, and metrics (`MEASURED`); columns of `reliability_curves`, rows in the order of the layout."""
    pairs = each_with(settings.runs, files["predictions"], "predictions")
    measured = each_with(settings.runs, files["metrics"], "metrics")
    curves = reliability_curves(((run, read_predictions(path)) for run, path in pairs), settings)
    metrics = _measured(read_all_metrics(measured), settings)
    return in_layout_order(pd.concat([curves, metrics]), settings)


def _measured(metrics: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    after = [name + catalogue.CALIBRATED for name in MEASURED]
    table = over_seeds(metrics[metrics["metric"].isin([*MEASURED, *after])], settings.confidence)
    quantity = table["metric"].str.removesuffix(catalogue.CALIBRATED)
    kinds = (quantity == table["metric"]).map({True: RAW, False: CALIBRATED})
    return table.assign(quantity=quantity, probabilities=kinds, images=table["n"]).reindex(columns=COLUMNS)


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """One panel a model and decision."""
    pairs = rows_of(table, list(settings.model_titles()))
    colors = {
        m.name: settings.style.colors[i % len(settings.style.colors)] for i, m in enumerate(settings.models)
    }
    with drawing():
        titles = [row_title(model, decision, settings) for model, decision in pairs]
        figure, grid = panels(titles, "Probability", "Frequency", settings.style)
        for axes, (model, decision) in zip(grid, pairs, strict=True):
            here = table[(table["model"] == model) & (table["decision"] == decision)]
            _draw_panel(axes, here, Look(colors[model], "solid", _AFTER))
        after = Look(GREY, "solid", _AFTER)
        entries = [(line(_BEFORE), "before calibration"), (line(after), "after it")]
        entries.append((band(), f"{100 * settings.confidence:g} % interval"))
        legend_below(figure, [entries])
    return figure


def _draw_panel(axes: Axes, table: pd.DataFrame, look: Look) -> None:
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.6, zorder=1)
    for kind, of in ((RAW, _BEFORE), (CALIBRATED, look)):
        curve = table[(table["probabilities"] == kind) & (table["quantity"] == OBSERVED)]
        if curve.empty:
            continue
        at = curve["probability"]
        axes.fill_between(
            at, curve["ci_low"], curve["ci_high"], color=of.color, alpha=BAND_ALPHA, linewidth=0
        )
        axes.plot(at, curve["value"], color=of.color, linestyle=of.dashes, linewidth=of.width, zorder=3)
        height = curve["images"] / max(curve["images"].max(), 1) * _STRIP - _STRIP
        half = (PROBABILITIES[1] - PROBABILITIES[0]) / 2
        edges = [*(PROBABILITIES - half), 1 + half]
        filled = kind == CALIBRATED
        axes.stairs(
            height,
            edges,
            baseline=-_STRIP,
            color=of.color,
            fill=filled,
            alpha=0.5 if filled else 1,
            linewidth=0.8,
        )
    axes.axhline(0, color=GREY, linewidth=0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-_STRIP, 1.02)
    ticks_at(axes.xaxis, [0, 0.5, 1], ["0", "0.5", "1"])
    ticks_at(axes.yaxis, [0, 0.5, 1], ["0", "0.5", "1"])
    values = table.set_index(["quantity", "probabilities"])["value"]
    lines = [
        f"{title} {_number(values, name, RAW)} → {_number(values, name, CALIBRATED)}"
        for name, title in _SHOWN.items()
    ]
    axes.text(
        0.03, 0.97, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=6.5, bbox=_BOX, zorder=4
    )


def _number(values: pd.Series, name: str, kind: str) -> str:
    value = values.get((name, kind))
    return "–" if value is None or pd.isna(value) else f"{value:.2f}".replace("-", "−")


ARTIFACT = Figure("Drawing reliability", CAPTION, Settings, plan, data, draw)
