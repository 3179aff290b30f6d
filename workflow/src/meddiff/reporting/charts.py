"""Figures drawn anew as interactive charts (Vega-Lite), from the numbers that the pictures show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from meddiff.reporting.settings import ReportSettings

Chart = Callable[["pd.DataFrame", "ReportSettings"], "dict[str, Any] | None"]

# Figure -> its chart.
CHARTS: Mapping[str, Chart] = {}
