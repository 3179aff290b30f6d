"""Small words: numbers, lists and quotations for sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What Markdown would read as something else.
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~@$])")


def plain(text: str) -> str:
    """A name of the user's, so that Markdown shows it as it is."""
    return _SPECIAL.sub(r"\\\1", text)


def listed(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    found = list(words)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""


def number(value: float) -> str:
    """``1,200``, ``0.001``, ``1e-05``."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:g}"


def percent(share: float) -> str:
    """``95 %``."""
    return f"{100 * share:g} %"


def several(count: int, one: str, many: str = "") -> str:
    """``1 image``, ``3 images``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
