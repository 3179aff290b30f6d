"""Which columns could be the label, best first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from meddiff.data.layouts.values import canonical_label
from meddiff.errors import DataError
from meddiff.starting.looking.columns import described, is_else, is_group, is_split, plain

MOST_VALUES = 50
_NAMES = re.compile(
    r"(label|class|target|dx|diagnosis|diagnostic|category|grade|outcome|y)s?|finding_labels?"
)
_IN_NAMES = re.compile(
    r"label|class|target|dx|diagnos|finding|patholog|categor|grade|malignan|benign|disease"
)
_DISEASE = re.compile(
    r".*(oma|osis|itis|emia|pathy|onia|plasia|trophy|thorax|megaly|cancer|edema|effusion|fracture|tumou?r|normal|"
    r"finding|opacity|disease)|covid.*"
)
NORMAL = re.compile(r"(no_findings?|normal|healthy|negative|none|benign|nevus|nv|control|no)")
_NUMBER = re.compile(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?")
_SEPARATORS = ("|", ";", ",")
_YES_NO = {"0", "1"}
_FINDING = {*_YES_NO, "-1", ""}


@dataclass(frozen=True)
class Label:
    """A way to label rows.

    Attributes:
        name: what it is called, for people.
        column: the column with the values; None for a column a class.
        layout: keys of the format that say it.
        counts: value -> rows, those of a separated cell counted each.
        score: how likely it is.
        pair: two values out of many, where a row can have several: without and with.
    """

    name: str
    column: str | None
    layout: Mapping[str, Any]
    counts: Mapping[str, int]
    score: float
    pair: tuple[str, str] | None = field(default=None)


def label_candidates(cells: pd.DataFrame, taken: Collection[str]) -> list[Label]:
    """All ways to label the rows, best first; of equal ones the first column.

    Args:
        cells: a table as text.
        taken: columns that are something else, such as names of images.
    """
    names = [name for name in cells if name not in taken and not is_group(name) and not is_split(cells[name])]
    found = [*_columns_of_classes(cells, names)]
    found += [label for name in names if (label := _one_column(cells, name)) is not None]
    return sorted(found, key=lambda label: -label.score)


def named_label(cells: pd.DataFrame, column: str) -> Label:
    """The label that the user names.

    Raises:
        DataError: there is no such column, or it has one value, or too many.
    """
    if column not in cells:
        raise DataError(f"--label {column}: no such column; the columns are:\n" + "\n".join(described(cells)))
    values = set(cells[column].map(canonical_label))
    findings = _findings(cells, list(cells))
    if values <= _FINDING and not values <= _YES_NO and column in findings:
        normal = [name for name in findings if NORMAL.fullmatch(plain(name)) and name != column]
        if normal:
            return _pair_of_columns(cells, normal[0], column)
    label = _one_column(cells, column, named=True)
    if label is None:
        number = cells[column].nunique()
        advice = f"a class is a value that several images have, of at most {MOST_VALUES}"
        if number < 2:
            advice = "two classes are needed at least"
        raise DataError(
            f"--label {column}: has {number:,} value{'s' * (number != 1)} in {len(cells):,} rows; {advice}. "
            "The columns are:\n" + "\n".join(described(cells))
        )
    return label


def _one_column(cells: pd.DataFrame, name: str, named: bool = False) -> Label | None:
    """The label in one column, if its cells can be classes."""
    text = cells[name]
    filled = text[text != ""]
    if filled.empty or (not named and (is_else(name) or len(filled) < 0.1 * len(text))):
        return None
    points = _points(plain(name))
    if (joined := _separated(name, filled, points)) is not None:
        return joined
    counts = Counter(filled.map(canonical_label))
    if not 2 <= len(counts) <= MOST_VALUES or (len(counts) > max(2, len(filled) / 2)):
        return None
    numbers = all(_NUMBER.fullmatch(value) for value in counts)
    whole = all(re.fullmatch(r"-?\d+", value) for value in counts)
    if numbers and not named and (not whole or len(counts) > 10 or max(map(int, counts)) > 20):
        return None
    yes_no = set(counts) == _YES_NO
    points += 3 if yes_no else 1 if len(counts) <= 20 else 0
    points -= len(filled) < 0.9 * len(text)
    return Label(name, name, {"label_column": name}, dict(counts.most_common()), points)


def _points(name: str) -> float:
    if _NAMES.fullmatch(name):
        return 8
    if _DISEASE.fullmatch(name):
        return 4.5
    return 4 if _IN_NAMES.search(name) else 0


def _separated(name: str, filled: pd.Series, points: float) -> Label | None:
    """Cells such as ``Edema|Effusion`` or ``['a', 'b']``."""
    listed = filled.str.fullmatch(r"\[.*\]").mean() > 0.9
    for separator in (",",) if listed else _SEPARATORS:
        some = filled.str.contains(separator, regex=False)
        if not some.any() or (separator == "," and not listed):
            continue
        parts = filled.str.strip("[]").str.split(separator) if listed else filled.str.split(separator)
        counts = Counter(value for of in parts for part in of if (value := part.strip(" '\"")))
        values_a_row = sum(counts.values()) / len(filled)
        # What has as many values as rows, such as coordinates of boxes, labels nothing.
        if len(counts) < 2 or len(counts) > max(2, 0.25 * len(filled)) or values_a_row > 10:
            continue
        if all(_NUMBER.fullmatch(value) for value in counts):
            continue
        layout = {"label_column": name, "label_separator": separator}
        return Label(name, name, layout, dict(counts.most_common()), points + 2, _pair(counts))
    return None


def _pair(counts: Counter) -> tuple[str, str]:
    """The most frequent finding, and what stands for none; else the second most frequent."""
    ranked = [value for value, _ in counts.most_common()]
    normal = [value for value in ranked if NORMAL.fullmatch(plain(value))]
    if normal:
        return normal[0], next(value for value in ranked if value not in normal[:1])
    return ranked[0], ranked[1]


def _columns_of_classes(cells: pd.DataFrame, names: list[str]) -> Iterator[Label]:
    """A column a class, where each row has one 1; or findings, of which a row can have several."""
    binary = [name for name in names if set(cells[name].map(canonical_label).unique()) <= _YES_NO]
    if len(binary) > 2:
        ones = cells[binary].map(canonical_label) == "1"
        if (ones.sum(axis=1) == 1).mean() > 0.95:
            counts = {name: int(ones[name].sum()) for name in binary}
            layout = {"one_hot": {"columns": binary}}
            yield Label(f"the columns {', '.join(binary)}", None, layout, counts, 9)
            return
    findings = _findings(cells, names)
    normal = [name for name in findings if NORMAL.fullmatch(plain(name))]
    if len(findings) > 2 and normal:
        ones = {name: int((cells[name].map(canonical_label) == "1").sum()) for name in findings}
        others = sorted((name for name in findings if name != normal[0]), key=lambda name: -ones[name])
        for rank, name in enumerate(others):
            label = _pair_of_columns(cells, normal[0], name, 9 - 0.01 * rank)
            if label.counts[name]:
                yield label


def _findings(cells: pd.DataFrame, names: list[str]) -> list[str]:
    """Columns with nothing but 1, 0, -1 and blanks."""
    return [
        name
        for name in names
        if "1" in (values := set(cells[name].map(canonical_label).unique())) and values <= _FINDING
    ]


def _pair_of_columns(cells: pd.DataFrame, normal: str, finding: str, score: float = 9) -> Label:
    text = cells[[normal, finding]].map(canonical_label)
    rules: dict[str, Any] = {"columns": [normal, finding]}
    if (text == "").any(axis=None):
        rules["blank"] = "negative"
    if (text == "-1").any(axis=None):
        rules["uncertain"] = "leave_out"
    counts = {name: int((text[name] == "1").sum()) for name in (normal, finding)}
    return Label(f"{normal} against {finding}", None, {"one_hot": rules}, counts, score, (normal, finding))
