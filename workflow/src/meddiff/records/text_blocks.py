"""Blocks of a text that are taken from files of a run, so that no number in it is typed.

A block of a Markdown file begins with ``<!-- from PATH -->`` and ends with ``<!-- end -->``. Between them is
the beginning of the file at PATH, up to the end of its first table, without its heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import hypot
from pathlib import Path

from meddiff.errors import DataError

_BLOCK = re.compile(r"(?m)^<!-- from (?P<path>\S+) -->\n(?P<body>.*?)^<!-- end -->$", re.DOTALL)
_INTERVAL = re.compile(r"\**(-?[\d.]+)\** \[(-?[\d.]+), (-?[\d.]+)\]")


@dataclass(frozen=True)
class Cell:
    """A cell of a table that has a value with an interval.

    Attributes:
        row, column: first cell of its row, and its column's name.
        value, low, high: the numbers.
    """

    row: str
    column: str
    value: float
    low: float
    high: float

    def agrees_with(self, other: Cell) -> bool:
        """Whether two runs' values may differ by chance alone: the interval of their difference has 0.

        An interval says where the value would be for other images, not where another run's value is: of two
        values drawn alike, one lies outside of the other's 95 % interval in one of six cases. What is to be
        asked is whether the difference can be 0, and its interval follows from both (MOVER, as in
        `meddiff.evaluate.statistics.difference_limits`). It takes the images of the runs as different ones.
        They are the same, so it is wider than the images need; that leaves room for what it does not know,
        how trainings differ. docs/results.md has how often trainings of the demo agree.
        """
        above, below = (self, other) if self.value >= other.value else (other, self)
        return above.value - below.value <= hypot(above.value - above.low, below.high - below.value)


def sources(text: str) -> list[str]:
    """The paths that the blocks of a text name, in order."""
    return [match["path"] for match in _BLOCK.finditer(text)]


def first_table(document: str) -> str:
    """A Markdown document up to the end of its first table, without its heading.

    Raises:
        DataError: if it has no table.
    """
    lines = [line for line in document.splitlines() if not line.startswith("# ")]
    ends = [i for i, line in enumerate(lines) if line.startswith("|")]
    if not ends:
        raise DataError("expected a Markdown file with a table")
    last = next(i for i in ends if i + 1 == len(lines) or not lines[i + 1].startswith("|"))
    return "\n".join(lines[: last + 1]).strip() + "\n"


def refreshed(text: str, root: Path) -> str:
    """A text with its blocks as the files say today; blocks whose file is not there stay as they are.

    Args:
        text: a Markdown file's.
        root: folder that paths are relative to.
    """

    def block(match: re.Match[str]) -> str:
        path = root / match["path"]
        if not path.is_file():
            return match[0]
        return f"<!-- from {match['path']} -->\n{first_table(path.read_text(encoding='utf-8'))}<!-- end -->"

    return _BLOCK.sub(block, text)


def disagreements(text: str, root: Path) -> list[str]:
    """What the blocks of a text say otherwise than the files that are there, beyond what intervals allow.

    Args:
        text, root: see `refreshed`.

    Returns:
        One line for each cell that is in one of the two only, or whose values disagree (`Cell.agrees_with`).
    """
    lines = []
    for match in _BLOCK.finditer(text):
        path = root / match["path"]
        if not path.is_file():
            continue
        said, made = (
            {(cell.row, cell.column): cell for cell in cells(table)}
            for table in (match["body"], first_table(path.read_text(encoding="utf-8")))
        )
        for key in said | made:
            where = f"{match['path']}: {' / '.join(key)}"
            if key not in said or key not in made:
                lines.append(f"{where}: only in {'the text' if key in said else 'the run'}")
            elif not said[key].agrees_with(made[key]):
                lines.append(f"{where}: {said[key].value} in the text, {made[key].value} in the run")
    return lines


def cells(table: str) -> Iterator[Cell]:
    """The cells with intervals of the first table in a Markdown text."""
    rows = [_split(line) for line in table.splitlines() if line.startswith("|")]
    for row in rows[2:]:
        for column, text in zip(rows[0][1:], row[1:], strict=True):
            if found := _INTERVAL.fullmatch(text):
                yield Cell(row[0], column, *map(float, found.groups()))


def _split(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
