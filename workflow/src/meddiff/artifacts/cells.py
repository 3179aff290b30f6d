"""How numbers stand in the cells of tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from meddiff.artifacts.render import NONE, Cell

VALIDATION_MARK = "*"
VALIDATION_WORDS = (
    f"{VALIDATION_MARK} of the validation images, on which the published code evaluates this model, so it is "
    "not compared."
)


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, except for zero, and so many digits after the point."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def plain(value: float, digits: int = 1) -> str:
    """A number with so many digits after the point."""
    return f"{value:.{digits}f}"


def estimate(
    row: Any | None, scale: float = 1, digits: int = 1, number: Callable[[float, int], str] = plain
) -> Cell:
    """A value with its interval, and its standard deviation between seeds where it has one.

    Args:
        row: with value, ci_low, ci_high and, of means over seeds, sd; without a value nothing is shown.
        scale: factor of all of them, 100 for percent.
        digits: after the point.
        number: how value and limits are written.
    """
    if row is None or pd.isna(row.value):
        return NONE
    value, low, high = (number(scale * x, digits) for x in (row.value, row.ci_low, row.ci_high))
    deviation = getattr(row, "sd", float("nan"))
    spread = "" if pd.isna(deviation) else f"± {plain(scale * deviation, digits)} "
    return Cell(value, f"{spread}[{low}, {high}]")


def difference(row: Any, scale: float = 1, digits: int = 1) -> str:
    """The difference of a row and its limits, with their signs, in brackets."""
    numbers = (row.difference, row.difference_ci_low, row.difference_ci_high)
    middle, low, high = (signed(scale * number, digits) for number in numbers)
    return f"({middle} [{low}, {high}])"


def published_cell(value: float, row: Any) -> Cell:
    """The paper's value, and in brackets ours minus it where both are of the test images."""
    if row.published_split == "valid":
        return Cell(f"{plain(value)}{VALIDATION_MARK}")
    return Cell(plain(value), "" if pd.isna(row.difference) else difference(row))
