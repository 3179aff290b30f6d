"""The summary as a part of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meddiff.artifacts.settings import FAMILY_TITLES
from meddiff.reporting.page import filled
from meddiff.reporting.part import PagePart
from meddiff.reporting.summary.asked import asked
from meddiff.reporting.summary.found import datasets_of, found, shown_name
from meddiff.reporting.summary.limits import limits
from meddiff.reporting.summary.words import interval, percent

if TYPE_CHECKING:
    from meddiff.reporting.given import Given


def summary_part(given: Given) -> PagePart:
    """What was asked, found, and is not shown; with the accuracies of all classifiers at a glance."""
    settings = given.settings
    datasets = [
        {
            "title": settings.dataset_title(name),
            "sentences": found(given, name),
            "bars": _bars(given, name),
            "chance": _chance(given, name),
        }
        for name in datasets_of(given)
    ]
    html = filled(
        "summary.html.j2",
        asked=asked(given),
        datasets=datasets,
        limits=limits(given),
        confidence=f"{100 * settings.confidence:g}",
    )
    return PagePart("summary", "Summary", html)


def _bars(given: Given, dataset: str) -> list[dict[str, Any]]:
    """Accuracy of each classifier with its interval, the most accurate first; percent."""
    table = given.table("tables/classification")
    if table is None:
        return []
    rows = table[(table["dataset"] == dataset) & (table["metric"] == "accuracy")].dropna(subset=["value"])
    rows = rows.sort_values("value", ascending=False, kind="stable")
    return [
        {
            "name": shown_name(given, row.model, row.decision),
            "family": FAMILY_TITLES.get(row.family, row.family),
            "diffusion": row.family == "diffusion",
            "value": f"{row.value:.2f}",
            "low": f"{_or(row.ci_low, row.value):.2f}",
            "width": f"{_or(row.ci_high, row.value) - _or(row.ci_low, row.value):.2f}",
            "text": f"{percent(row.value)} {interval(row.ci_low, row.ci_high)}".strip(),
        }
        for row in rows.itertuples()
    ]


def _or(value: float, instead: float) -> float:
    return instead if value != value else value


def _chance(given: Given, dataset: str) -> str:
    """Share of the most frequent class of the test images, percent; empty where it is not known."""
    people = given.table("tables/participants")
    if people is None:
        return ""
    rows = people[(people["dataset"] == dataset) & (people["split"] == "test")]
    images = rows.loc[rows["what"] == "images", "images"]
    classes = rows.loc[rows["what"] == "class", "images"]
    if images.empty or classes.empty or not images.iloc[0]:
        return ""
    return f"{100 * classes.max() / images.iloc[0]:.2f}"
