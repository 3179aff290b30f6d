"""The front: validity against distance to the image, over how far to noise and how hard to guide."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from meddiff.artifacts.style import Look, drawing, legend_below, line, looks, marker, panels
from meddiff.errors import DataError
from meddiff.evaluate.counterfactual_settings import FrontSettings
from meddiff.evaluate.over_seeds import over_seeds
from meddiff.evaluate.proportion import share_interval
from meddiff.explaining.edits import COUNTERFACTUAL
from meddiff.runs import TrainedRun

COLUMNS = ["dataset", "model", "judge", "from_t", "cfg_scale", "validity_percent", "ci_low_percent"]
COLUMNS += ["ci_high_percent", "control_percent", "l1", "images", "seeds"]
ITSELF, ORACLE = "itself", "oracle"
_JUDGES = {ITSELF: ("valid", "control"), ORACLE: ("valid_oracle", "control_oracle")}
_CONTROLS = {ITSELF: "x", ORACLE: "+"}  # markers
_KEYS = ["dataset", "model", "judge", "from_t", "cfg_scale"]
_GREY = "#555555"
_DASHES = (0, (3.2, 1.5))


def front_data(runs: Iterable[tuple[TrainedRun, pd.DataFrame]], settings: FrontSettings) -> pd.DataFrame:
    """What the figure shows: one row a model, judge and setting, over all directions, mean over seeds.

    Args:
        runs: each with its measures (`meddiff.explaining.measures.measure`).

    Returns:
        Columns `COLUMNS`, settings ascending; of images that the classifier, and the judge, decide for their
        true class. The control is the share of their factual reconstructions, made with the same settings,
        that the judge takes for the target.
    """
    rows = []
    for run, measures in runs:
        used = measures[(measures["front"] == 1) & (measures["role"] == COUNTERFACTUAL)]
        used = used[used["qualified"] == 1]
        for judge, (column, control) in _JUDGES.items():
            if column not in used:
                continue
            judged = used[used[column].notna()]
            for (from_t, cfg_scale), part in judged.groupby(["from_t", "cfg_scale"]):
                groups = part["group"].to_numpy()
                limits = share_interval(part[column].to_numpy(), groups, settings.confidence)
                shown = [part[column].mean(), *map(float, limits), part["image_id"].nunique(), run.seed]
                identity = [run.dataset, run.model, judge, from_t, cfg_scale, "validity"]
                rows.append([*identity, *shown, 100 * part[control].mean(), part["l1"].mean()])
    keys = [*_KEYS, "metric"]
    columns = [*keys, "value", "ci_low", "ci_high", "n", "seed", "control_percent", "l1"]
    table = pd.DataFrame(rows, columns=columns)
    further = table.groupby(keys, sort=False)[["control_percent", "l1"]].mean().reset_index()
    averaged = over_seeds(table, settings.confidence, keys).merge(further, on=keys)
    for column, name in (("value", "validity"), ("ci_low", "ci_low"), ("ci_high", "ci_high")):
        averaged[f"{name}_percent"] = 100 * averaged[column]
    return averaged.rename(columns={"n": "images"})[COLUMNS]


def draw_front(table: pd.DataFrame, settings: FrontSettings) -> Figure:
    """One panel a dataset; a line a model, judge and start, along which the guidance grows.

    Below each point, at the same place of the horizontal axis, is its control.

    Args:
        table: as `front_data` returns it.

    Raises:
        DataError: if it has no rows.
    """
    if table.empty:
        raise DataError(
            "counterfactuals.front: no image of the comparison is decided for its true class, so there is "
            "nothing to draw; raise counterfactuals.front.images_per_class or train longer"
        )
    titles = {name: t for name, t in settings.dataset_titles().items() if (table["dataset"] == name).any()}
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
    dashes = "solid" if judge == ITSELF else _DASHES
    axes.plot(x, y, color=look.color, linestyle=dashes, linewidth=1.2)
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
    table: pd.DataFrame, by_model: dict[str, Look], settings: FrontSettings
) -> list[list[tuple[Artist, str]]]:
    titles = settings.model_titles()
    models = [(line(by_model[name]), titles[name]) for name in titles if (table["model"] == name).any()]
    neutral = Look(_GREY, "solid", 1.2)
    judges = [(line(neutral), "decided by the model itself"), (_control(ITSELF), "its control: factuals")]
    if (table["judge"] == ORACLE).any():
        judges += [(line(neutral, _DASHES), f"by {settings.oracle}"), (_control(ORACLE), "its control")]
    scales = ", ".join(f"{scale:g}" for scale in sorted(set(table["cfg_scale"])))
    return [models, judges, [(line(Look(_GREY, "none", 0.0)), f"along a line: guidance {scales}")]]


def _control(judge: str) -> Line2D:
    """Legend handle of the controls of a judge."""
    return Line2D([], [], linestyle="none", color=_GREY, marker=_CONTROLS[judge], markersize=4.0)
