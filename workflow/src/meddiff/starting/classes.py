"""Classes of a dataset: which values there are, in which order, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from meddiff.config.schema.data.classes import as_label
from meddiff.starting.looking.columns import plain
from meddiff.starting.looking.labels import NORMAL, Label

LEAST_IMAGES = 3  # one for each of training, validation and test
_VAGUE = re.compile(r"label|class|target|y|dx|diagnosis|category|grade|outcome|level|folder")


def values_of(label: Label) -> list[str]:
    """The values that become classes: of findings two, else all that enough rows have."""
    if label.pair is not None:
        return list(label.pair)
    return [value for value, number in label.counts.items() if number >= LEAST_IMAGES]


def class_entries(label: Label, values: Collection[str]) -> list[dict[str, Any]]:
    """``classes`` of a dataset's file.

    Numbers are in their order; other values by how many images they have, what is called normal first. Of two
    classes the last one is the positive one: the rarer of two whose names say nothing.

    Args:
        label: what the values are of.
        values: those that become classes.
    """
    numbers = all(isinstance(as_label(value), float) for value in values)
    if numbers:
        ordered = sorted(values, key=as_label)
    else:
        ordered = sorted(
            values, key=lambda value: (not NORMAL.fullmatch(plain(value)), -label.counts.get(value, 0), value)
        )
    names = _names(label, ordered)
    return [{"value": written(value), "name": name} for value, name in zip(ordered, names, strict=True)]


def written(value: str) -> int | str:
    """A value as YAML has it: a number where that is the same label."""
    return int(value) if re.fullmatch(r"0|-?[1-9]\d{0,17}", value) else value


def _names(label: Label, values: Collection[str]) -> list[str]:
    column = label.column or ""
    if set(values) == {"0", "1"} and column and not _VAGUE.fullmatch(plain(column)):
        word = column.replace("_", " ").strip()
        return [f"no {word}", word]
    names = []
    for value in values:
        name = " ".join(re.sub(r"[_\x00-\x1f\x7f\u2028\u2029]+", " ", value).split())[:100]
        names.append(f"{column or 'class'} {name}" if isinstance(written(value), int) else name or "blank")
    return names if len({name.casefold() for name in names}) == len(names) else [repr(v) for v in values]


def counted(label: Label, most: int = 12) -> str:
    """The values of a label and how many rows have each."""
    shown = [f"{value} {number:,}" for value, number in list(label.counts.items())[:most]]
    return ", ".join([*shown, *[f"and {len(label.counts) - most} more"] * (len(label.counts) > most)])


def imbalance(counts: Mapping[Any, int]) -> float:
    """The largest class as a multiple of the smallest."""
    return max(counts.values()) / max(1, min(counts.values()))
