"""The report's own parts, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meddiff.reporting.cost import cost_part
from meddiff.reporting.data import data_part
from meddiff.reporting.figures import CHART, figures_part
from meddiff.reporting.origin import origin_part
from meddiff.reporting.summary.part import summary_part
from meddiff.reporting.tables import tables_part
from meddiff.reporting.training import training_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meddiff.reporting.given import Given
    from meddiff.reporting.part import PagePart


def parts_before_cases(given: Given) -> list[PagePart]:
    """What was found, as words, tables and figures."""
    return [summary_part(given), tables_part(given), figures_part(given)]


def library_of(parts: Sequence[PagePart]) -> str:
    """What the page's script needs to draw charts; nothing where there are none."""
    from meddiff.reporting.charts.lines import library

    return library() if any(CHART in part.html for part in parts) else ""


def parts_after_cases(given: Given) -> list[PagePart]:
    """What it was found with: data, training, cost, configuration."""
    return [data_part(given), training_part(given), cost_part(given), origin_part(given)]
