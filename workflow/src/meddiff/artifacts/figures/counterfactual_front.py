"""The front: validity against distance to the image, over how far to noise and how hard to guide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.settings import Confidence, Layout, Line, each_with, layout
from meddiff.artifacts.style import (
    DASHES,
    GREY,
    Look,
    drawing,
    legend_below,
    line,
    looks,
    marker,
    panels,
    shown_datasets,
)
from meddiff.config.schema.figure import FigureStyle
from meddiff.errors import DataError
from meddiff.evaluate.over_seeds import over_seeds
from meddiff.explaining.edits import COUNTERFACTUAL
from meddiff.result_csv import read_csv
from meddiff.runs import TrainedRun

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from matplotlib.lines import Line2D

    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Share of counterfactuals that are decided for their target, by the model itself (solid) and by an independent
classifier (dashed), against their mean absolute difference to the image, over how far the image is noised
(one line each) and how strongly the class guides (larger markers). Up and to the left is better. A judge is
asked only about test images that it decides for their true class. Crosses are the control: the share of
factual reconstructions (own class, same noise and settings) that the judge takes for the target; what lies
above them is due to the class.
"""
COLUMNS = ["dataset", "model", "judge", "from_t", "cfg_scale", "validity_percent", "ci_low_percent"]
COLUMNS += ["ci_high_percent", "control_percent", "l1", "images", "seeds"]
ITSELF, ORACLE = "itself", "oracle"
_JUDGES = {ITSELF: ("valid", "control"), ORACLE: ("valid_oracle", "control_oracle")}
_CONTROLS = {ITSELF: "x", ORACLE: "+"}  # markers
_KEYS = ["dataset", "model", "judge", "from_t", "cfg_scale"]
_MEASURED = ("group", "role", "front", "qualified", "from_t", "cfg_scale", "valid", "control", "l1")
_TEXT = {"image_id": str, "group": str}


class Settings(Layout):
    """What the figure depends on; `oracle` is the title of the baseline that classifies, too."""

    oracle: Line | None
    confidence: Confidence
    style: FigureStyle


def plan(experiment: Experiment) -> list[Wanted]:
    """Where settings of counterfactuals are compared."""
    runs, config = experiment.counterfactual_runs(), experiment.counterfactuals
    if config is None or config.front is None:
        return []
    settings = Settings(
        **layout(experiment, runs),
        oracle=config.oracle and experiment.any_dataset(config.oracle).title,
        confidence=experiment.settings.evaluate.confidence,
        style=style_of(experiment, "counterfactual_front"),
    )
    return [Wanted(settings, {"measures": [experiment.counterfactual(run, "measures.csv") for run in runs]})]


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """The front (`front`) from measures of ``measure``, one file a run."""
    pairs = each_with(settings.runs, files["measures"], "measures")
    measured = (
        (run, read_csv(path, _MEASURED, "run `measure` again", _TEXT, _MEASURED[2:])) for run, path in pairs
    )
    return front(measured, settings.confidence)


def front(runs: Iterable[tuple[TrainedRun, pd.DataFrame]], confidence: float) -> pd.DataFrame:
    """One row a model, judge and setting, over all directions, mean over seeds.

    Args:
        runs: each with its measures (`meddiff.explaining.image_measures.measure_images`).
        confidence: of the limits.

    Returns:
        Columns `COLUMNS`, settings ascending; of images that the classifier, and the judge, decide for their
        true class. The control is the share of their factual reconstructions, made with the same settings,
        that the judge takes for the target.
    """
    from meddiff.evaluate.proportion import share_interval

    rows = []
    for run, measures in runs:
        used = measures[(measures["front"] == 1) & (measures["role"] == COUNTERFACTUAL)]
        used = used[used["qualified"] == 1]
        for judge, (column, control) in _JUDGES.items():
            if column not in used:
                continue
            judged = used[used[column].notna()]
            for (from_t, cfg_scale), part in judged.groupby(["from_t", "cfg_scale"]):
                limits = share_interval(part[column].to_numpy(), part["group"].to_numpy(), confidence)
                shown = [part[column].mean(), *map(float, limits), part["image_id"].nunique(), run.seed]
                identity = [run.dataset, run.model, judge, from_t, cfg_scale, "validity"]
                rows.append([*identity, *shown, 100 * part[control].mean(), part["l1"].mean()])
    keys = [*_KEYS, "metric"]
    columns = [*keys, "value", "ci_low", "ci_high", "n", "seed", "control_percent", "l1"]
    table = pd.DataFrame(rows, columns=columns)
    further = table.groupby(keys, sort=False)[["control_percent", "l1"]].mean().reset_index()
    averaged = over_seeds(table, confidence, keys).merge(further, on=keys)
    for column, name in (("value", "validity"), ("ci_low", "ci_low"), ("ci_high", "ci_high")):
        averaged[f"{name}_percent"] = 100 * averaged[column]
    return averaged.rename(columns={"n": "images"})[COLUMNS]


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """One panel a dataset; a line a model, judge and start, along which the guidance grows.

    Below each point, at the same place of the horizontal axis, is its control.

    Args:
        table: as `data` returns it.

    Raises:
        DataError: if it has no rows.
    """
    if table.empty:
        raise DataError(
            "counterfactuals.front: no image of the comparison is decided for its true class, so there is "
            "nothing to draw; raise counterfactuals.front.images_per_class or train longer"
        )
    titles = shown_datasets(table, settings)
    by_model = looks(settings.models, settings.style)
    with drawing():
        figure, grid = panels(
            list(titles.values()),
            "L1 to the image (% of the range)",
            "Decided for the target (%)",
            settings.style,
        )
        for axes, dataset in zip(grid, titles, strict=True):
            here = table[table["dataset"] == dataset]
            for (model, judge, from_t), part in here.groupby(["model", "judge", "from_t"], sort=False):
                _draw_line(axes, part, by_model[model], judge, from_t)
            axes.set_ylim(-6, 109)
            axes.margins(x=0.12)
        legend_below(figure, _legend(table, by_model, settings))
    return figure


def _draw_line(axes: Axes, part: pd.DataFrame, look: Look, judge: str, from_t: float) -> None:
    part = part.sort_values("cfg_scale")
    x, y = 100 * part["l1"].to_numpy(), part["validity_percent"].to_numpy()
    axes.plot(x, y, color=look.color, linestyle="solid" if judge == ITSELF else DASHES, linewidth=1.2)
    # Markers grow along the line with the guidance.
    for i in range(len(x)):
        style = {"marker": "o", "color": look.color} if judge == ITSELF else marker(look.color)
        axes.plot(x[i : i + 1], y[i : i + 1], linestyle="none", **{**style, "markersize": 3.4 + 1.5 * i})
    control = {"color": look.color, "marker": _CONTROLS[judge], "markersize": 4.0, "alpha": 0.7}
    axes.plot(x, part["control_percent"], linestyle="none", **control)
    if judge == ITSELF:
        axes.annotate(
            f"t = {from_t:g}",
            (x[0], y[0]),
            xytext=(0, -9),
            textcoords="offset points",
            color=look.color,
            fontsize=6.5,
            ha="center",
        )


def _legend(
    table: pd.DataFrame, by_model: dict[str, Look], settings: Settings
) -> list[list[tuple[Artist, str]]]:
    titles = settings.model_titles()
    models = [(line(by_model[name]), titles[name]) for name in titles if (table["model"] == name).any()]
    neutral = Look(GREY, "solid", 1.2)
    judges = [(line(neutral), "decided by the model itself"), (_control(ITSELF), "its control: factuals")]
    if (table["judge"] == ORACLE).any():
        judges += [(line(neutral, DASHES), f"by {settings.oracle}"), (_control(ORACLE), "its control")]
    scales = ", ".join(f"{scale:g}" for scale in sorted(set(table["cfg_scale"])))
    return [models, judges, [(line(Look(GREY, "none", 0.0)), f"along a line: guidance {scales}")]]


def _control(judge: str) -> Line2D:
    """Legend handle of the controls of a judge."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", color=GREY, marker=_CONTROLS[judge], markersize=4.0)


ARTIFACT = Figure("Drawing validity against distance over settings", CAPTION, Settings, plan, data, draw)
