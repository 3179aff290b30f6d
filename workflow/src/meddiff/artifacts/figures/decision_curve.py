"""Decision curves: the net benefit of acting on the probability of the positive class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.settings import (
    DatasetEntry,
    DecidedLayout,
    Line,
    class_names,
    decision_title,
    each_with,
    layout,
    prevalences,
)
from meddiff.artifacts.style import (
    BAND_ALPHA,
    GREY,
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
from meddiff.evaluate.net_benefit import ALL, NONE, decision_curves
from meddiff.evaluate.statistics import Resampling
from meddiff.readout.predictions import calibrated, probabilities, read_predictions

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Decision curves (Vickers & Elkin 2006): the net benefit on the test split of acting on images from a
probability of the positive class on, against that probability; acting on all images and on none are the
references. Probabilities are calibrated on the validation split where that is scored; where they are for
classes of another frequency (`prevalence`), so is the net benefit, and the title says which. Bands are
confidence intervals of the diffusion models.
"""
_REFERENCES = {ALL: ("act on all", (0, (1, 1.2))), NONE: ("act on none", "solid")}


class PairEntry(DatasetEntry):
    """A dataset of two classes as shown."""

    positive: Line = Field(description="name of the positive class")
    prevalence: float | None = Field(
        default=None, description="its share where probabilities are used, if it is not as in the images"
    )


class Settings(DecidedLayout, Resampling):
    """What the figure depends on."""

    datasets: list[PairEntry] = Field(min_length=1)
    style: FigureStyle


def plan(experiment: Experiment) -> list[Wanted]:
    """Where datasets have two classes: each baseline, and each diffusion model by the first of its rules."""
    names = class_names(experiment)
    pairs = [name for name in experiment.datasets if len(names[name]) == 2]
    shown = ("softmax", experiment.settings.score.decisions[0])
    runs = [run for run in experiment.decided_runs() if run.dataset in pairs and run.decision in shown]
    if not runs:
        return []
    fields = {**layout(experiment, runs, pairs), **experiment.resampling()}
    fields["datasets"] = [
        _entry(**entry, positive=names[entry["name"]][1], experiment=experiment)
        for entry in fields["datasets"]
    ]
    settings = Settings(**fields, style=style_of(experiment, "decision_curve"))
    return [Wanted(settings, {"predictions": [experiment.predictions(run) for run in runs]})]


def _entry(name: str, title: str, positive: str, experiment: Experiment) -> PairEntry:
    prevalence = prevalences(experiment).get(name, {}).get(positive)
    return PairEntry(name=name, title=title, positive=positive, prevalence=prevalence)


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """The curves (`meddiff.evaluate.net_benefit.decision_curves`) from predictions, one file a run."""
    pairs = each_with(settings.runs, files["predictions"], "predictions")
    tables = ((run, _positive(read_predictions(path))) for run, path in pairs)
    known = {entry.name: entry.prevalence for entry in settings.datasets if entry.prevalence is not None}
    return decision_curves(tables, settings, known)


def _positive(predictions: pd.DataFrame) -> pd.DataFrame:
    """Columns image_id, group, positive, p: calibrated where it is."""
    p = calibrated(predictions)
    p = probabilities(predictions) if p is None else p
    return predictions[["image_id", "group"]].assign(positive=predictions["label"] == 1, p=p[:, 1])


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """Net benefit against the threshold; diffusion thick, baselines dashed, references grey.

    Args:
        table: as `data` returns it.
    """
    shown = shown_datasets(table, settings)
    positive = {entry.name: _words(entry) for entry in settings.datasets}
    titles = [f"{title}: {positive[name]}" for name, title in shown.items()]
    with drawing():
        figure, grid = panels(titles, "Threshold probability (%)", "Net benefit", settings.style)
        for axes, dataset in zip(grid, shown, strict=True):
            _draw(axes, table[table["dataset"] == dataset], settings)
        legend_below(figure, _legend(table, settings))
    return figure


def _words(entry: PairEntry) -> str:
    """The positive class, and how frequent it is where that is said."""
    return entry.positive + ("" if entry.prevalence is None else f" ({100 * entry.prevalence:g} %)")


def _draw(axes: Axes, here: pd.DataFrame, settings: Settings) -> None:
    by_model = looks(settings.models, settings.style)
    families = {model.name: model.family for model in settings.models}
    for model, part in here.groupby("model", sort=False):
        x, y = part["threshold_percent"], part["net_benefit"]
        if model in _REFERENCES:
            axes.plot(x, y, color=GREY, linestyle=_REFERENCES[model][1], linewidth=0.9, zorder=2)
            continue
        look = by_model[model]
        if families[model] == "diffusion":  # bands of all baselines would hide each other; the CSV has them
            axes.fill_between(
                x, part["ci_low"], part["ci_high"], color=look.color, alpha=BAND_ALPHA, linewidth=0
            )
        axes.plot(
            x, y, color=look.color, linestyle=look.dashes, linewidth=look.width, zorder=2.0 + look.width
        )
    # Below zero acting on none is better, and how much worse a curve is says nothing more.
    highest = here["net_benefit"].max()
    axes.set_ylim(-0.12 * highest, 1.2 * highest)
    axes.set_xlim(0, 100)
    ticks_at(axes.xaxis, range(0, 101, 20))
    round_ticks(axes.yaxis)


def _legend(table: pd.DataFrame, settings: Settings) -> list[list[tuple[Artist, str]]]:
    from matplotlib.lines import Line2D

    by_model = looks(settings.models, settings.style)
    decisions = table.drop_duplicates("model").set_index("model")["decision"]
    diffusion, baselines = [], []
    for model in settings.models:
        if model.name in decisions.index:
            of_diffusion = model.family == "diffusion"
            rule = f" ({decision_title(decisions[model.name])})" * of_diffusion
            entry = (line(by_model[model.name]), model.title + rule)
            (diffusion if of_diffusion else baselines).append(entry)
    notes = [(band(), f"{100 * settings.confidence:g} % interval")] if diffusion else []
    references = [
        (Line2D([], [], color=GREY, linestyle=dashes, linewidth=0.9), title)
        for title, dashes in _REFERENCES.values()
    ]
    return [group for group in (diffusion + notes, baselines, references) if group]


ARTIFACT = Figure("Drawing decision curves", CAPTION, Settings, plan, data, draw)
