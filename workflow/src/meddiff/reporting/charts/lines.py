"""Interactive charts of lines with intervals (Vega-Lite).

A chart has one panel a dataset, or what else is compared side by side. Pointing shows the values of the
nearest point; pressing a name in the legend shows it alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_DIGITS = 4
PANEL, X, Y, LOW, HIGH = "panel", "x", "y", "low", "high"
COLOR, DASH, POINT, BAND = "color", "dash", "point", "band"
_FEW = 4  # points of a line that are drawn as points, too
_SHAPES = ("diamond", "circle", "triangle-up", "square")
_DASHES = ([1, 0], [5, 3], [2, 2], [7, 2, 2, 2])


@dataclass(frozen=True)
class Words:
    """What a chart says beside its numbers.

    Attributes:
        x, y: titles of the axes.
        color, dash: what colours and dashes tell apart; empty where nothing is.
    """

    x: str
    y: str
    color: str = "Model"
    dash: str = ""


@dataclass(frozen=True)
class Scales:
    """How values lie on the axes, and which colours there are.

    Attributes:
        colors: name -> colour, in the order of the legend.
        log_x, log_y: whether an axis is logarithmic.
        same_y: whether all panels have the same y axis.
        y_range: what of the y axis is shown, if not all.
    """

    colors: Mapping[str, str]
    log_x: bool = False
    log_y: bool = False
    same_y: bool = False
    y_range: tuple[float, float] | None = None


def library() -> str:
    """Vega, Vega-Lite and vega-embed, as vl-convert brings them: nothing is fetched.

    Raises:
        RuntimeError: if they cannot stand in a page's script.
    """
    import vl_convert

    text = vl_convert.javascript_bundle()
    if "</script" in text.lower() or "<!--" in text:
        raise RuntimeError("the JavaScript of vl-convert would end the script that it stands in")
    return text


def drawn(spec: dict[str, Any]) -> str:
    """A chart as SVG, for where no scripts run.

    Args:
        spec: as `lines` returns it.
    """
    import vl_convert

    size = {"width": 320, "height": 220}
    facets = spec["usermeta"]["facets"]
    whole = {**spec, "columns": min(3, facets), "spec": {**spec["spec"], **size}}
    return vl_convert.vegalite_to_svg(whole)


def lines(table: pd.DataFrame, words: Words, scales: Scales) -> dict[str, Any] | None:
    """A chart of lines as a Vega-Lite specification; None where there is nothing to draw.

    Args:
        table: columns `PANEL`, `X`, `Y`, `COLOR`; perhaps `LOW` and `HIGH` (an interval, NaN for none),
            `BAND` (whether it is drawn, too), `DASH`, and `POINT` beside it (whether a row is a single point
            rather than one of a line).
        words: titles.
        scales: colours and axes.
    """
    import altair as alt

    table = table.dropna(subset=[X, Y]).reset_index(drop=True)
    if table.empty:
        return None
    panels = table[PANEL].drop_duplicates().tolist()
    names = [name for name in scales.colors if (table[COLOR] == name).any()]
    x = alt.X(f"{X}:Q", title=words.x, scale=_scale(scales.log_x, table[X]), axis=_axis(scales.log_x))
    y_scale = alt.Scale(domain=list(scales.y_range)) if scales.y_range else _scale(scales.log_y, table[Y])
    y = alt.Y(f"{Y}:Q", title=words.y, scale=y_scale, axis=_axis(scales.log_y))
    colors = alt.Scale(domain=names, range=[scales.colors[name] for name in names])
    color = alt.Color(f"{COLOR}:N", title=words.color or None, scale=colors, legend=_legend())
    base = alt.Chart(alt.Data(values=_records(table))).encode(x=x, y=y, color=color)
    layers = _layers(base, table, words)
    faceted = alt.layer(*layers).facet(
        facet=alt.Facet(f"{PANEL}:N", title=None, sort=panels),
        columns=3,
        spacing=18,
    )
    if not scales.same_y:
        faceted = faceted.resolve_scale(y="independent")
    spec = faceted.to_dict()
    return {**spec, "usermeta": {"facets": len(panels)}}


def _layers(base: alt.Chart, table: pd.DataFrame, words: Words) -> list[alt.Chart]:
    """Intervals, lines, single points, and what is pointed at."""
    import altair as alt

    picked = alt.selection_point(name="picked", fields=[COLOR], bind="legend")
    near = alt.selection_point(name="near", on="pointerover", clear="pointerout", nearest=True, empty=False)
    shown = alt.condition(picked, alt.value(1.0), alt.value(0.08))
    single = POINT in table and bool(table[POINT].any())
    of_lines = base.transform_filter(f"datum.{POINT} !== true") if single else base
    layers = []
    if LOW in table and table[LOW].notna().any():
        area = of_lines.mark_area(strokeWidth=0, clip=True).encode(
            y=alt.Y(f"{LOW}:Q", title=words.y),
            y2=alt.Y2(f"{HIGH}:Q"),
            detail=[f"{DASH}:N"] if DASH in table else [],
            opacity=alt.condition(picked, alt.value(0.13), alt.value(0.0)),
        )
        drawn_too = f" && datum.{BAND}" if BAND in table else ""
        layers.append(area.transform_filter(f"isValid(datum.{LOW}){drawn_too}"))
    line = of_lines.mark_line(strokeWidth=2, clip=True, point=table[X].nunique() < _FEW).encode(opacity=shown)
    layers.append(line.encode(strokeDash=_dashes(table, words)) if DASH in table else line)
    if single:
        marks = base.mark_point(size=70, strokeWidth=1.6).encode(opacity=shown, shape=_shapes(table))
        layers.append(marks.transform_filter(f"datum.{POINT} === true"))
    seen = alt.condition(near, alt.value(1.0), alt.value(0.0))
    tips = base.mark_point(filled=True, size=60, clip=True).encode(
        opacity=seen, tooltip=_tooltip(table, words)
    )
    layers.append(tips.add_params(near))
    layers[0] = layers[0].add_params(picked)
    return layers


def _dashes(table: pd.DataFrame, words: Words) -> alt.StrokeDash:
    """What dashes tell apart, as far as there are lines of it."""
    import altair as alt

    drawn = table[~table[POINT].astype(bool)] if POINT in table else table
    kinds = drawn[DASH].drop_duplicates().tolist()
    scale = alt.Scale(domain=kinds, range=[list(_DASHES[i % len(_DASHES)]) for i in range(len(kinds))])
    legend = alt.Legend(symbolOpacity=1, symbolType="stroke") if len(kinds) > 1 else None
    return alt.StrokeDash(f"{DASH}:N", title=words.dash or None, scale=scale, legend=legend)


def _shapes(table: pd.DataFrame) -> alt.Shape:
    """What single points are."""
    import altair as alt

    kinds = table.loc[table[POINT].astype(bool), DASH].drop_duplicates().tolist()
    scale = alt.Scale(domain=kinds, range=[_SHAPES[i % len(_SHAPES)] for i in range(len(kinds))])
    return alt.Shape(f"{DASH}:N", title="Points", scale=scale, legend=_legend())


def _tooltip(table: pd.DataFrame, words: Words) -> dict[str, Any]:
    """Values of the nearest point, by what they are called.

    An expression rather than fields: Vega-Lite finds the areas around points by a mark of its own, whose
    datum is the point, and looks there for numbers but not for names.
    """
    import altair as alt

    point = {name: f"(datum.datum || datum).{name}" for name in (COLOR, DASH, X, Y, LOW, HIGH)}
    number = {name: f"format({point[name]}, '.4~g')" for name in (X, Y, LOW, HIGH)}
    shown = {words.color or "Line": point[COLOR]}
    if DASH in table:
        shown[words.dash or "Kind"] = point[DASH]
    shown |= {words.x: number[X], words.y or "Value": number[Y]}
    if LOW in table:
        shown["Interval"] = f"isValid({point[LOW]}) ? {number[LOW]} + ' to ' + {number[HIGH]} : '–'"
    pairs = ", ".join(f"{json.dumps(name)}: {value}" for name, value in shown.items())
    return alt.value({"expr": f"{{{pairs}}}"})


def _scale(log: bool, values: pd.Series) -> alt.Scale:
    import altair as alt

    if log and bool((values > 0).all()):
        return alt.Scale(type="log", nice=False)
    return alt.Scale(zero=False, nice=True)


def _axis(log: bool) -> alt.Axis:
    import altair as alt

    return alt.Axis(tickCount=6, labelOverlap=True, **{"format": "~g"} if log else {})


def _legend() -> alt.Legend:
    import altair as alt

    return alt.Legend(symbolOpacity=1)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows without what is missing; numbers to a few digits, which is more than a screen shows."""
    rows = []
    for row in table.to_dict("records"):
        kept = {}
        for key, value in row.items():
            if isinstance(value, float):
                if value == value:  # not NaN
                    kept[key] = float(f"{value:.{_DIGITS + 1}g}")
            else:
                kept[key] = value
        rows.append(kept)
    return rows
