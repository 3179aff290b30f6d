"""Which rows of a table count: ``where:``."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from meddiff.config.schema.data.rows import Condition
from meddiff.data.groups import is_missing
from meddiff.data.layouts.cells import column
from meddiff.data.layouts.values import canonical_label, in_words, written


def holds(cells: pd.DataFrame, condition: Condition) -> tuple[pd.Series, list[str]]:
    """Whether a condition holds, for each row; and a problem for each row of which it cannot be said.

    Raises:
        DataError: the column is not there.
    """
    given = column(cells, condition.column, "format.where")
    if condition.present is not None:
        return ~is_missing(given) if condition.present else is_missing(given), []
    if condition.less is not None or condition.at_least is not None:
        return _compared(given, condition)
    wanted = _values(condition)
    found = given.map(canonical_label).isin({text for value in wanted for text in written(value)})
    return (~found if condition.not_ is not None else found), []


def described(condition: Condition) -> str:
    """A condition in words, for the flow of rows: what the rows that are left out are not."""
    values = in_words([str(value) for value in _values(condition)])
    if condition.present is not None:
        return f"{condition.column} is {'blank' if condition.present else 'not blank'}"
    if condition.less is not None:
        return f"{condition.column} is not below {condition.less:g}"
    if condition.at_least is not None:
        return f"{condition.column} is not {condition.at_least:g} or more"
    return f"{condition.column} is {'' if condition.not_ is not None else 'not '}{values}"


def _values(condition: Condition) -> Sequence:
    if condition.equal is not None:
        return [condition.equal]
    if condition.not_ is not None:
        return condition.not_ if isinstance(condition.not_, list) else [condition.not_]
    return condition.in_ or []


def _compared(given: pd.Series, condition: Condition) -> tuple[pd.Series, list[str]]:
    numbers = pd.to_numeric(given.where(~is_missing(given)), errors="coerce").astype(float)
    wrong = numbers.isna() & ~is_missing(given)
    problems = [
        f"{where}: {condition.column} is {given[where]!r}, which is no number (format.where)"
        for where in given.index[wrong]
    ]
    if condition.less is not None:
        return numbers < condition.less, problems
    return numbers >= condition.at_least, problems
