"""The report's own parts, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meddiff.reporting.figures import figures_part
from meddiff.reporting.tables import tables_part

if TYPE_CHECKING:
    from meddiff.reporting.given import Given
    from meddiff.reporting.part import PagePart


def parts_before_cases(given: Given) -> list[PagePart]:
    """What was found, as words, tables and figures."""
    return [tables_part(given), figures_part(given)]


def parts_after_cases(given: Given) -> list[PagePart]:
    """What it was found with: data, training, cost, configuration."""
    return []
