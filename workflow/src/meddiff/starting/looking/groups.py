"""Which images belong together: by columns, or by what their names begin with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from meddiff.starting.looking.columns import is_group, is_study

# Parts of paths and names that are one patient's in published datasets.
_PATTERNS = (
    ("patient", r".*/(patient[_-]?\d+)/.*"),
    ("patient", r"(?:.*/)?((?:[A-Za-z]+\d?-)?[A-Za-z]*-?\d+)[_-][^/]*"),
)
_LARGEST_SHARE = 0.2


@dataclass(frozen=True)
class Groups:
    """How images are grouped.

    Attributes:
        columns: those that say it.
        derived: columns that are made for it (``columns`` of the format).
        notes: what was found, for people.
    """

    columns: list[str]
    derived: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def layout(self) -> dict[str, Any]:
        """Keys of the format."""
        if not self.columns:
            return {}
        if len(self.columns) == 1:
            return {"group_column": self.columns[0]}
        return {"group_columns": self.columns}


NO_GROUPS = Groups(
    [],
    notes=[
        "No column says which images are of one patient. If patients have several images, name it, or test "
        "results are too good: `group_column: COLUMN` under format, or make one of the names by `columns`."
    ],
)


def find_groups(cells: pd.DataFrame, image: str, label: str | None) -> Groups:
    """The groups that columns or names suggest.

    Args:
        cells: a table as text.
        image: the column with names of images.
        label: the column with the label, which is none of groups.
    """
    names = [name for name in cells if name not in (image, label)]
    named = [name for name in names if is_group(name)] or [name for name in names if is_study(name)]
    useful = [name for name in named if _repeats(cells[name])]
    if useful:
        return Groups(useful, notes=[_counted(cells[name], name) for name in useful])
    for new, pattern in _PATTERNS:
        # An image with several rows shares its name with itself only.
        found = cells[image].drop_duplicates().str.extract(f"^{pattern}$", expand=False)
        if found.notna().all() and _repeats(found) and found.value_counts().iloc[0] <= _limit(len(found)):
            new = new if new not in cells else f"{new}_of_name"
            note = (
                f"Names begin alike: {_counted(found, new)} Check that this part of the name is the "
                "patient's; if not, take it out here and under columns."
            )
            return Groups([new], {new: {"column": image, "pattern": pattern}}, [note])
    if named:
        return Groups([], notes=[f"{name}: every image has its own, so it groups nothing." for name in named])
    return NO_GROUPS


def given_groups(column: str, cells: pd.DataFrame) -> Groups:
    """The groups that the user names."""
    return Groups([column], notes=[_counted(cells[column], column)])


def _repeats(cells: pd.Series) -> bool:
    """Whether some images share a cell, but not nearly all of them."""
    counts = cells[cells != ""].value_counts()
    return len(counts) > 1 and counts.iloc[0] > 1


def _limit(rows: int) -> float:
    return max(2, _LARGEST_SHARE * rows)


def _counted(cells: pd.Series, name: str) -> str:
    filled = cells[cells != ""]
    counts = filled.value_counts()
    blank = f"; {len(cells) - len(filled):,} images have none" if len(filled) < len(cells) else ""
    return f"{name}: {len(counts):,} in {len(filled):,} images, the largest with {counts.iloc[0]:,}{blank}."


def without_pattern(text: str) -> str:
    """A folder's name as a regular expression that matches it alone."""
    return re.escape(text).replace("\\-", "-").replace("\\ ", " ")
