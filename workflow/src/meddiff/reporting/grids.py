"""Tables for reading, taken back from the Markdown that `meddiff.artifacts.render` wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from meddiff.errors import DataError

_CELLS = re.compile(r"(?<!\\)(?:\\\\)*\|")
_ESCAPED = re.compile(r"\\(.)")
_BEST = re.compile(r"\*\*(.*?)(?<!\\)(?:\\\\)*\*\*(?: (.*))?", re.DOTALL)
_NUMBER = re.compile(r"[+−-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_VALUE = re.compile(rf"({_NUMBER.pattern}[×%]?(?:\s%)?)(?: (.+))?")
_HYPHEN = re.compile(r"(?<![\w.])-(?=\d)")
_ZERO = re.compile(r"0(?:\.0+)?(?![\d.])")
LONG = 40  # letters of a cell that needs several lines


@dataclass(frozen=True)
class ShownCell:
    """A cell of a table.

    Attributes:
        value: its text, without the detail behind it.
        detail: an interval, a difference, a spread; or empty.
        best: whether it is the best of its column.
    """

    value: str
    detail: str = ""
    best: bool = False

    @property
    def number(self) -> float | None:
        """What the cell is sorted by where it begins with a number."""
        found = _NUMBER.match(self.value)
        return float(found[0].replace("−", "-")) if found else None

    @property
    def is_long(self) -> bool:
        """Whether it is a sentence rather than a value."""
        return self.number is None and len(self.value) > LONG


@dataclass(frozen=True)
class ShownTable:
    """A table: a caption, names of columns, and rows under headings.

    Attributes:
        caption: plain text.
        heads: of the columns; the first is that of the row names.
        blocks: (heading or empty, rows).
    """

    caption: str
    heads: list[str]
    blocks: list[tuple[str, list[list[ShownCell]]]] = field(default_factory=list)

    @property
    def groups(self) -> list[tuple[str, int]]:
        """(common beginning of the names of neighbouring columns, or empty; number of columns)."""
        parts = [head.partition(": ") for head in self.heads]
        keys = [before if colon else "" for before, colon, _ in parts]
        found = [(key, len(list(members))) for key, members in groupby(keys)]
        # A name of one column alone is read more easily whole.
        return found if any(key and count > 1 for key, count in found) else []

    @property
    def titles(self) -> list[str]:
        """Names of the columns below their `groups`."""
        if not self.groups:
            return self.heads
        return [head.partition(": ")[2] or head for head in self.heads]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(len(rows) for _, rows in self.blocks)


def read_grids(path: Path) -> list[ShownTable]:
    """The tables of a Markdown file that `meddiff.artifacts.render.to_markdown` wrote.

    Raises:
        DataError: if it is another Markdown.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}; run snakemake, which makes it again") from error
    found, caption = [], []
    table: list[list[str]] = []
    for line in [*lines, ""]:
        if line.startswith("| "):
            table.append(_cells(line))
        elif table:
            found.append(_table(path, " ".join(caption), table))
            caption, table = [], []
        elif line:
            caption.append(plain(line))
    if not found:
        raise DataError(f"{path}: has no table; run snakemake, which makes it again")
    return found


def plain(markdown: str) -> str:
    """Text whose special characters were escaped, as it was."""
    return _ESCAPED.sub(r"\1", markdown)


def _cells(line: str) -> list[str]:
    cells, begin = [], 0
    for bar in _CELLS.finditer(line):
        cells.append(line[begin : bar.end() - 1].strip())
        begin = bar.end()
    return cells[1:]


def _table(path: Path, caption: str, lines: list[list[str]]) -> ShownTable:
    heads, *rows = lines
    if not rows or any(len(row) != len(heads) for row in rows):
        raise DataError(f"{path}: has rows of several widths; run snakemake, which makes it again")
    blocks: list[tuple[str, list[list[ShownCell]]]] = []
    for row in rows[1:]:
        first = row[0]
        heading = first.startswith("*") and not first.startswith("**") and not any(row[1:])
        if heading:
            blocks.append((plain(first[1:-1]), []))
            continue
        if not blocks:
            blocks.append(("", []))
        blocks[-1][1].append([ShownCell(plain(first)), *map(_cell, row[1:])])
    return ShownTable(caption, [plain(head) for head in heads], blocks)


def _cell(markdown: str) -> ShownCell:
    if best := _BEST.fullmatch(markdown):
        return ShownCell(_signed(plain(best[1])), _signed(plain(best[2] or "")), best=True)
    text = plain(markdown)
    parts = _VALUE.fullmatch(text)
    return ShownCell(_signed(parts[1]), _signed(parts[2] or "")) if parts else ShownCell(text)


def _signed(text: str) -> str:
    """Numbers with a minus for a hyphen, and zero without a sign."""
    return _HYPHEN.sub(lambda found: "" if _ZERO.match(text, found.end()) else "−", text)
