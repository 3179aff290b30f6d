"""The class of every row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from meddiff.config.schema.data.classes import ClassConfig, is_unlabelled
from meddiff.config.schema.data.rows import OneHot, RowsBase
from meddiff.data.layouts.cells import column
from meddiff.data.layouts.values import canonical_label, class_of_value, known_values

_YES, _NO, _UNCERTAIN = (
    frozenset({"1", "True", "TRUE", "true"}),
    frozenset({"0", "False", "FALSE", "false"}),
    "-1",
)
_NAMED = 10

BLANK, OTHERS, SEVERAL = "no label", "a label of no class", "labels of several classes"
UNSURE = "an uncertain label"


@dataclass(frozen=True)
class Labels:
    """What the rows of a table are.

    Attributes:
        index: class index, -1 for a row that is left out or has a problem.
        left_out: why a row is left out by a rule of the layout; blank for all others.
        problems: one for each row that has one.
        others: the values of the rows that are left out because they are of no class.
    """

    index: pd.Series
    left_out: pd.Series
    problems: list[str]
    others: pd.Series


def read_labels(layout: RowsBase, classes: Sequence[ClassConfig], cells: pd.DataFrame) -> Labels:
    """The labels of a table's rows.

    Args:
        layout: where the labels stand and what becomes of rows without one of the classes.
        classes: the classes and their values.
        cells: the rows.

    Raises:
        DataError: a column is not there.
    """
    if is_unlabelled(classes):
        nothing = pd.Series("", index=cells.index, dtype=object)
        return Labels(pd.Series(0, index=cells.index, dtype="int64"), nothing, [], nothing[:0])
    values, left_out, problems = _values(layout, cells)
    known = class_of_value(classes)
    found = values.map(lambda of: {known[value] for value in of if value in known})
    number, open_ = found.map(len), left_out == ""
    index = found.map(lambda of: next(iter(of)) if len(of) == 1 else -1).astype("int64")
    bad = pd.Series(False, index=cells.index)
    bad[[where for where, _ in problems]] = True
    # A row without a 1 says something: that it is of none of these classes.
    blank = open_ & ~bad & (values.map(len) == 0) & (layout.one_hot is None)
    several = open_ & ~bad & (number > 1)
    others = open_ & ~bad & ~blank & (number == 0)
    texts = [f"{where}: {text}" for where, text in problems]
    for rows, rule, why, advice in (
        (blank, layout.blank, BLANK, "`blank: leave_out`"),
        (several, layout.several, SEVERAL, "`several: leave_out`"),
        (others, layout.others, OTHERS, "add the value to a class, or say `others: leave_out`"),
    ):
        if rule == "leave_out":
            left_out = left_out.mask(rows, why)
        else:
            texts += [
                f"{where}: {_wrong(why, values[where], classes)} ({advice} in the dataset's file)"
                for where in cells.index[rows]
            ]
    index = index.where(open_ & ~bad & (number == 1), -1)
    return Labels(index, left_out, texts, values[others].map(lambda of: ", ".join(of) or "none"))


def _wrong(why: str, values: Sequence[str], classes: Sequence[ClassConfig]) -> str:
    if why == BLANK:
        return f"no label; known are {known_values(classes)}"
    if why == SEVERAL:
        return f"labels {', '.join(values)} are of several classes"
    if not values:
        return "a 1 in none of the columns of one_hot"
    return f"unknown label {', '.join(map(repr, values))}; known are {known_values(classes)}"


def most_frequent(values: pd.Series) -> str:
    """The values and how often each is there, for the log: ``bkl 1099, df 115``."""
    counts = values.value_counts()
    shown = [f"{value} {number}" for value, number in counts.head(_NAMED).items()]
    return ", ".join([*shown, *[f"and {len(counts) - _NAMED} more values"] * (len(counts) > _NAMED)])


def _values(layout: RowsBase, cells: pd.DataFrame) -> tuple[pd.Series, pd.Series, list[tuple[str, str]]]:
    """The values of each row, why it is left out (or blank), and problems with their rows."""
    if layout.one_hot is not None:
        return _one_hot(layout.one_hot, cells)
    given = column(cells, layout.label_column, "format.label_column")
    separator = layout.label_separator
    values = given.map(lambda cell: [canonical_label(part) for part in _parts(cell, separator)])
    return values, pd.Series("", index=cells.index, dtype=object), []


def _parts(cell: str, separator: str | None) -> list[str]:
    """The values of a cell that are not blank."""
    if separator is None:
        return [cell] if cell else []
    if cell.startswith("[") and cell.endswith("]"):  # as Python prints a list
        cell = cell[1:-1].replace("', '", f"'{separator}'").replace("', \"", f"'{separator}\"")
        return [part.strip(" '\"") for part in cell.split(separator) if part.strip(" '\"")]
    return [part.strip() for part in cell.split(separator) if part.strip()]


def _one_hot(layout: OneHot, cells: pd.DataFrame) -> tuple[pd.Series, pd.Series, list[tuple[str, str]]]:
    names = layout.columns
    text = pd.DataFrame(
        {name: column(cells, name, "format.one_hot.columns").map(canonical_label) for name in names}
    )
    blank, unsure = text == "", text == _UNCERTAIN
    yes = text.isin(_YES) | (unsure & (layout.uncertain == "positive"))
    left_out = pd.Series("", index=cells.index, dtype=object)
    if layout.blank == "leave_out":
        left_out = left_out.mask(blank.any(axis=1), BLANK)
    if layout.uncertain == "leave_out":
        left_out = left_out.mask(unsure.any(axis=1), UNSURE)
    wrong = ~(text.isin(_YES) | text.isin(_NO) | blank | unsure)
    wrong |= blank & (layout.blank == "error") | unsure & (layout.uncertain == "error")
    problems = [
        (cells.index[row], f"{names[col]} is {text.iat[row, col]!r}; {_advice(text.iat[row, col])}")
        for row, col in zip(*np.nonzero(wrong.to_numpy()), strict=True)
    ]
    none = [] if layout.none is None else [canonical_label(layout.none)]
    matrix = yes.to_numpy()
    values = [[names[i] for i in np.flatnonzero(row)] or list(none) for row in matrix]
    return pd.Series(values, index=cells.index, dtype=object), left_out, problems


def _advice(cell: str) -> str:
    if cell == "":
        return "say what a blank cell means: `one_hot: {blank: negative}`, or `leave_out`"
    if cell == _UNCERTAIN:
        return "say what -1 means: `one_hot: {uncertain: leave_out}`, or `negative` or `positive`"
    return "expected 1 or 0 (true or false)"
