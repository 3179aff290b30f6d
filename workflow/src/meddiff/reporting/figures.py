"""All figures with captions and numbers; those whose values one wants to read are drawn anew by scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meddiff.data.decoding.pictures import open_picture
from meddiff.reporting.charts.figures import CHARTS
from meddiff.reporting.inline import picture_uri
from meddiff.reporting.links import csv_download
from meddiff.reporting.page import filled
from meddiff.reporting.part import PagePart
from meddiff.text import script_safe_json

if TYPE_CHECKING:
    from meddiff.reporting.given import Given, GivenArtifact

# What every chart has in its HTML.
CHART = '<script type="application/json"'
FIRST = ("method", "uncertainty", "step_ablation", "reliability", "efficiency", "decision_curve")


def figures_part(given: Given) -> PagePart:
    """Every figure as a picture, which a chart replaces where there is one and scripts run."""
    entries = [_entry(one, given) for one in sorted(given.figures, key=lambda one: _rank(one.entry.name))]
    return PagePart("figures", "Figures", filled("figures.html.j2", entries=entries))


def _entry(one: GivenArtifact, given: Given) -> dict[str, Any]:
    make = CHARTS.get(one.entry.name.rpartition("/")[2])
    spec = make(one.table, given.settings) if make else None
    return {
        "id": one.id,
        "title": one.title,
        "caption": " ".join(one.entry.caption.split()),
        "picture": picture_uri(one.shown),
        "size": _size(one.shown),
        "spec": script_safe_json(spec) if spec else "",
        "download": csv_download(one.csv, given.settings.results),
    }


def _size(path: Any) -> tuple[int, int]:
    """Width and height of a picture, so that a page that is loading does not jump."""
    with open_picture(path) as picture:
        return picture.size


def _rank(name: str) -> tuple[int, str]:
    short = name.rpartition("/")[2]
    return (FIRST.index(short) if short in FIRST else len(FIRST), short)
