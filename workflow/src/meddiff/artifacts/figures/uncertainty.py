"""The uncertainty figure: accuracy of what is left when the most uncertain images are removed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.layout import in_layout_order
from meddiff.artifacts.published import PUBLISHED, PUBLISHED_VALIDATION, PublishedRemoval
from meddiff.artifacts.settings import DecidedLayout, decision_title, each_with, layout
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
from meddiff.evaluate.curves import OURS, REMOVAL_COLUMNS, removal_curves
from meddiff.evaluate.statistics import Resampling
from meddiff.readout.predictions import read_predictions
from meddiff.runs import Run

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Accuracy of the images that remain when the most uncertain ones are removed. An uncertainty that means
something makes the curve rise. Bands are confidence intervals of the diffusion models. Open points, where
there are any, are what the paper's figure shows; open triangles are its values of validation images, which
are not those of our curves.
"""
_PUBLISHED_SPLITS = {PUBLISHED: "o", PUBLISHED_VALIDATION: "^"}


class Settings(DecidedLayout, Resampling):
    """What the figure depends on; `uncertainty` names the kind to rank by for each decision."""

    uncertainty: dict[str, str] = Field(
        default={"majority": "vote_entropy", "mean": "softmax_entropy", "softmax": "softmax_entropy"}
    )
    style: FigureStyle
    published: PublishedRemoval | None = None

    @model_validator(mode="after")
    def _every_decision_has_one(self) -> Settings:
        missing = {run.decision for run in self.runs} - set(self.uncertainty)
        if missing:
            raise ValueError(f"uncertainty: missing for decision {sorted(missing)}")
        return self


def plan(experiment: Experiment) -> list[Wanted]:
    """Every model once: by vote entropy a majority and a mean decision rank images alike."""
    runs = [run for run in experiment.reported_runs() if run.decision != "mean"]
    settings = Settings(
        **layout(experiment, runs),
        **experiment.resampling(),
        style=style_of(experiment, "uncertainty"),
        published=experiment.config.published("uncertainty"),
    )
    return [Wanted(settings, {"predictions": [experiment.predictions(run) for run in runs]})]


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """The curves from predictions, one file a run."""
    pairs = each_with(settings.runs, files["predictions"], "predictions")
    return curves(((run, read_predictions(path)) for run, path in pairs), settings)


def curves(runs: Iterable[tuple[Run, pd.DataFrame]], settings: Settings) -> pd.DataFrame:
    """Ours (`meddiff.evaluate.curves.removal_curves`) and published points, in the order of the layout."""
    ours = removal_curves(runs, settings.uncertainty, settings)
    published = pd.DataFrame(_published(settings), columns=REMOVAL_COLUMNS)
    return in_layout_order(pd.concat([ours, published]) if len(published) else ours, settings)


def _published(settings: Settings) -> list[list]:
    if settings.published is None:
        return []
    validation = settings.published.validation

    def source(dataset: str, model: str) -> str:
        return PUBLISHED_VALIDATION if model in validation.get(dataset, []) else PUBLISHED

    return [
        [dataset, model, decision, "", source(dataset, model), removed, accuracy, *[np.nan] * 5]
        for dataset, model, decision in dict.fromkeys((r.dataset, r.model, r.decision) for r in settings.runs)
        if decision != "mean"  # the paper's curves are by majority
        for removed, accuracy in zip(
            settings.published.removed_percent,
            settings.published.datasets.get(dataset, {}).get(model, []),
            strict=False,
        )
    ]


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """Accuracy of the remaining images against the removed share; diffusion thick, baselines dashed.

    Args:
        table: as `data` returns it.
    """
    shown = shown_datasets(table, settings)
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
            ticks_at(axes.xaxis, range(0, 91, 15))
            round_ticks(axes.yaxis)
        legend_below(figure, _removal_legend(table, settings, by_model))
    return figure


def _draw_removal(axes: Axes, part: pd.DataFrame, look: Look, decision: str) -> None:
    ours = part[part["source"] == OURS]
    if decision != "softmax":  # bands of all baselines would hide each other; the CSV has them
        limits = ours["ci_low_percent"], ours["ci_high_percent"]
        axes.fill_between(ours["removed_percent"], *limits, color=look.color, alpha=BAND_ALPHA, linewidth=0)
    axes.plot(
        ours["removed_percent"],
        ours["accuracy_percent"],
        color=look.color,
        linestyle=DASHES if decision == "mean" else look.dashes,
        linewidth=look.width,
        zorder=2.0 + look.width,  # thick over thin
    )
    for source, symbol in _PUBLISHED_SPLITS.items():
        published = part[part["source"] == source]
        points = published["removed_percent"], published["accuracy_percent"]
        axes.plot(*points, linestyle="none", zorder=5, **marker(look.color, symbol))


def _removal_legend(
    table: pd.DataFrame, settings: Settings, by_model: dict[str, Look]
) -> list[list[tuple[Artist, str]]]:
    drawn = table.loc[table["source"] == OURS, ["model", "decision"]].drop_duplicates()
    rules = drawn.groupby("model")["decision"].nunique()
    diffusion, baselines = [], []
    for model in settings.models:
        for decision in drawn.loc[drawn["model"] == model.name, "decision"]:
            suffix = f" ({decision_title(decision)})" if rules[model.name] > 1 else ""
            handle = line(by_model[model.name], DASHES if decision == "mean" else None)
            group = diffusion if model.family == "diffusion" else baselines
            group.append((handle, model.title + suffix))
    notes = []
    if diffusion:
        notes.append((band(), f"{100 * settings.confidence:g} % interval"))
    for source, title in ((PUBLISHED, "paper"), (PUBLISHED_VALIDATION, "paper, of validation images")):
        if (table["source"] == source).any():
            notes.append((open_marker(GREY, _PUBLISHED_SPLITS[source]), title))
    groups = [diffusion + notes, baselines]
    return [group for group in groups if group]


ARTIFACT = Figure(
    "Drawing accuracy against the share of uncertain images removed", CAPTION, Settings, plan, data, draw
)
