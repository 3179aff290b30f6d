"""Values of labels, as they stand in tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from meddiff.config.schema.data.classes import ClassConfig, Label

_INTEGER = re.compile(r"(-?(?:0|[1-9]\d*))(?:\.0*)?")


def canonical_label(value: Label) -> str:
    """The string by which label values are compared: trimmed, and 1, "1" and "1.0" are the same."""
    text = str(value).strip()
    match = _INTEGER.fullmatch(text)
    return str(int(match[1])) if match else text


def written(value: Label) -> list[str]:
    """How a value may stand in a table; a switch is what R and pandas write for it."""
    if isinstance(value, bool):
        return [str(value), str(value).lower(), str(value).upper()]
    return [canonical_label(value)]


def class_of_value(classes: Sequence[ClassConfig]) -> dict[str, int]:
    """Canonical value -> class index."""
    return {
        text: index
        for index, one in enumerate(classes)
        for value in one.all_values
        for text in written(value)
    }


def known_values(classes: Sequence[ClassConfig]) -> str:
    """All values of all classes, for messages."""
    return ", ".join(canonical_label(value) for one in classes for value in one.all_values)


def in_words(names: Sequence[str]) -> str:
    """``a, b or c``."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
