"""Sentences with numbers and names in them, as safe HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from meddiff.text import one_line

NO_BREAK = "\u00a0"


def named(text: object) -> Markup:
    """A name from the configuration: escaped, and in a direction of its own."""
    return Markup("<bdi>{}</bdi>").format(one_line(str(text)))


def say(template: str, **values: Any) -> Markup:
    """`template` with values filled in; what is not safe among them is escaped."""
    return Markup(template).format(**values)


def listed(names: Sequence[object], last: str = "and") -> Markup:
    """Names as "a, b and c"."""
    shown = [named(name) for name in names]
    if len(shown) < 2:
        return Markup("").join(shown)
    return Markup(", ").join(shown[:-1]) + Markup(f" {last} ") + shown[-1]


def counted(number: int, one: str, several: str = "") -> str:
    """A number with the noun that fits."""
    return f"{number:,}{NO_BREAK}{one if number == 1 else several or f'{one}s'}"


def percent(value: float) -> str:
    """A value that is in percent already."""
    return f"{value:.1f}{NO_BREAK}%"


def interval(low: float, high: float, digits: int = 1) -> str:
    """Two limits in brackets; nothing where one is missing."""
    if low != low or high != high:
        return ""
    limits = (f"{limit:.{digits}f}".replace("-", "−") for limit in (low, high))
    return f"[{', '.join(limits)}]".replace(" ", NO_BREAK)


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def p_value(value: float) -> str:
    """A p-value as it is written in sentences."""
    return f"p{NO_BREAK}<{NO_BREAK}0.001" if value < 0.001 else f"p{NO_BREAK}={NO_BREAK}{value:.3f}"
