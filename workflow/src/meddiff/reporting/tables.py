"""All tables, as they are read, to be sorted and filtered where scripts run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meddiff.reporting.grids import ShownTable, read_grids
from meddiff.reporting.links import csv_download
from meddiff.reporting.page import filled
from meddiff.reporting.part import PagePart

if TYPE_CHECKING:
    from meddiff.reporting.given import Given

# The questions that a reader has come with are answered first; what is not named comes in the order of names.
FIRST = (
    *("classification", "comparison", "published", "calibration", "triage", "operating_point", "efficiency"),
    *("counterfactuals", "localisation", "ood", "audit", "leaks", "participants", "flow", "metrics"),
)


def tables_part(given: Given) -> PagePart:
    """Every table with its caption and its numbers to download."""
    entries = [
        {
            "id": one.id,
            "title": one.title,
            "grids": read_grids(one.shown),
            "download": csv_download(one.csv, given.settings.results),
        }
        for one in sorted(given.tables, key=lambda one: _rank(one.entry.name))
    ]
    return PagePart("tables", "Tables", filled("tables.html.j2", entries=entries))


def _rank(name: str) -> tuple[int, str]:
    short = name.rpartition("/")[2]
    return (FIRST.index(short) if short in FIRST else len(FIRST), short)


def table_html(table: ShownTable, label: str, name: str) -> str:
    """One table by itself.

    Args:
        table: what is shown.
        label: says what it is to those who do not see it.
        name: unique on the page.
    """
    return filled("table.html.j2", table=table, label=label, name=name)
