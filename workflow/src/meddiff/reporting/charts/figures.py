"""Figures drawn anew as interactive charts, from the numbers that the pictures show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from meddiff.artifacts.settings import decision_title
from meddiff.artifacts.style import looks
from meddiff.config.schema.figure import FigureStyle
from meddiff.reporting.charts.lines import (
    BAND,
    COLOR,
    DASH,
    HIGH,
    LOW,
    PANEL,
    POINT,
    Scales,
    Words,
    X,
    Y,
    lines,
)

if TYPE_CHECKING:
    import pandas as pd

    from meddiff.reporting.settings import ReportSettings

Chart = Callable[["pd.DataFrame", "ReportSettings"], "dict[str, Any] | None"]

_EFFICIENCY = {"accuracy": "Accuracy (%)", "agreement": "Agreement (%)", "aurc": "AURC"}
_RULES = {
    "first": "same steps for all",
    "exact": "exact stopping",
    "sequential": "sequential stopping",
    "sequential_spread": "sequential, spread order",
}


def model_colors(settings: ReportSettings) -> dict[str, str]:
    """Title of a model -> its colour, as the pictures have it."""
    found = looks(settings.models, FigureStyle())
    return {model.title: found[model.name].color for model in settings.models}


def _titles(table: pd.DataFrame, settings: ReportSettings) -> pd.DataFrame:
    """The columns that every chart has of a table with dataset and model."""
    return table.assign(
        **{
            PANEL: table["dataset"].map(settings.dataset_title),
            COLOR: table["model"].map(settings.model_titles()),
        }
    )


def _steps(table: pd.DataFrame, settings: ReportSettings) -> dict[str, Any] | None:
    shown = _titles(table, settings)
    ours = shown["source"] == "ours"
    names = {X: "steps", Y: "accuracy_percent", LOW: "ci_low_percent", HIGH: "ci_high_percent"}
    shown = shown.assign(**{new: shown[old].astype(float) for new, old in names.items()})
    shown[DASH] = shown["decision"].map(decision_title).where(ours, "published: " + shown["decision"])
    shown[POINT] = ~ours
    # Bands of all rules would hide each other; pointing shows their limits.
    shown[BAND] = shown["decision"] == "majority"
    words = Words("Classification steps per image", "Accuracy (%)", dash="Decision")
    return lines(_kept(shown, BAND, DASH, POINT), words, Scales(model_colors(settings), log_x=True))


def _uncertainty(table: pd.DataFrame, settings: ReportSettings) -> dict[str, Any] | None:
    shown = _titles(table, settings)
    names = {X: "removed_percent", Y: "accuracy_percent", LOW: "ci_low_percent", HIGH: "ci_high_percent"}
    shown = shown.assign(**{new: shown[old].astype(float) for new, old in names.items()})
    ours = shown["source"] == "ours"
    shown[DASH] = shown["decision"].map(decision_title).where(ours, shown["source"])
    shown[POINT] = ~ours
    shown[BAND] = shown["model"].map(settings.is_diffusion)
    # The first of a kind has solid lines.
    shown = shown.sort_values("decision", key=lambda names: names == "softmax", kind="stable")
    words = Words("Most uncertain images removed (%)", "Accuracy of the rest (%)", dash="Decision")
    return lines(_kept(shown, BAND, DASH, POINT), words, Scales(model_colors(settings)))


def _reliability(table: pd.DataFrame, settings: ReportSettings) -> dict[str, Any] | None:
    shown = _titles(table, settings)
    names = {X: "probability", Y: "value", LOW: "ci_low", HIGH: "ci_high"}
    shown = shown.assign(**{new: shown[old].astype(float) for new, old in names.items()})
    decision = shown["decision"].map(decision_title)
    shown[PANEL] = (shown[COLOR] + " (" + decision + ")").where(shown["decision"] != "softmax", shown[COLOR])
    kinds = {"raw": "before calibration", "calibrated": "after calibration"}
    shown = shown[(shown["quantity"] == "observed") & shown["probabilities"].isin(kinds)]
    shown[COLOR] = shown["probabilities"].map(kinds)
    right = [
        {PANEL: panel, X: at, Y: at, COLOR: "right probabilities"}
        for panel in shown[PANEL].drop_duplicates()
        for at in (0.0, 1.0)
    ]
    colors = {"before calibration": "#888888", "after calibration": "#0072B2"}
    colors["right probabilities"] = "#CC79A7"
    words = Words("Probability", "Frequency", "Probabilities")
    return lines(_with(_kept(shown), right), words, Scales(colors, same_y=True))


def _efficiency(table: pd.DataFrame, settings: ReportSettings) -> dict[str, Any] | None:
    shown = _titles(table[table["further"] == ""], settings)
    shown = shown[shown["metric"].isin(_EFFICIENCY) & shown["rule"].isin(_RULES)]
    names = {X: "passes", Y: "value", LOW: "ci_low", HIGH: "ci_high"}
    shown = shown.assign(**{new: shown[old].astype(float) for new, old in names.items()})
    metrics = shown["metric"].map(_EFFICIENCY)
    shown[PANEL] = metrics if shown[PANEL].nunique() == 1 else shown[PANEL] + ": " + metrics
    shown[DASH], shown[POINT] = shown["rule"].map(_RULES), shown["rule"] == "exact"
    shown[BAND] = shown["rule"] == "first"
    words = Words("Network passes per image", "", dash="Steps")
    shown = _kept(shown.sort_values(X, kind="stable"), BAND, DASH, POINT)
    return lines(shown, words, Scales(model_colors(settings), log_x=True))


def _decision_curve(table: pd.DataFrame, settings: ReportSettings) -> dict[str, Any] | None:
    shown = _titles(table, settings)
    references = {"(all)": "act on all", "(none)": "act on none"}
    shown[COLOR] = shown[COLOR].fillna(shown["model"].map(references))
    names = {X: "threshold_percent", Y: "net_benefit", LOW: "ci_low", HIGH: "ci_high"}
    shown = shown.assign(**{new: shown[old].astype(float) for new, old in names.items()})
    shown[BAND] = shown["model"].map(settings.is_diffusion)
    shown[DASH] = shown["decision"].map(decision_title).where(~shown["model"].isin(references), "reference")
    colors = {**model_colors(settings), "act on all": "#888888", "act on none": "#444444"}
    words = Words("Probability to act from (%)", "Net benefit", "Line", "Decision")
    top = max(float(shown[Y].max()), 0.01)
    # Acting on everyone at a high threshold costs without end, and would flatten the rest.
    return lines(_kept(shown, BAND, DASH), words, Scales(colors, y_range=(-0.3 * top, 1.1 * top)))


def _kept(table: pd.DataFrame, *further: str) -> pd.DataFrame:
    return table[[PANEL, X, Y, LOW, HIGH, COLOR, *further]]


def _with(table: pd.DataFrame, rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True) if rows else table


# Figure -> its chart.
CHARTS: Mapping[str, Chart] = {
    "step_ablation": _steps,
    "uncertainty": _uncertainty,
    "reliability": _reliability,
    "efficiency": _efficiency,
    "decision_curve": _decision_curve,
}
