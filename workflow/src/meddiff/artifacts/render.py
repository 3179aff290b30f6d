"""A table for reading, as Markdown and as a LaTeX table with booktabs rules."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby

from meddiff.text import one_line

# An interval needs no escapes, unless what follows makes a link of it.
_INTERVAL = r"\[[+−-]?\d[\d.]*, [+−-]?\d[\d.]*\](?![(\[:])"
# Everything that begins or ends something in Markdown or in GitHub's extensions; of colons and dots those
# that make an address a link.
_MARKDOWN = re.compile(rf"({_INTERVAL})|([\\`*_\[\]<>|~&$]|:(?=//)|(?<=www)\.)")
_TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "Δ": r"$\Delta$",
    "δ": r"$\delta$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "…": r"\ldots{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
}
_LAST_OF_PDFLATEX = "\u024f"  # of the letters that its fonts have


@dataclass(frozen=True)
class Cell:
    """A value, set in bold where it is the best of its column, and a detail after it."""

    value: str
    detail: str = ""
    best: bool = False


NONE = Cell("–")  # where there is no value


@dataclass(frozen=True)
class Column:
    """A column; neighbouring columns of the same non-empty group share a heading."""

    title: str
    group: str = ""


@dataclass(frozen=True)
class Block:
    """Rows under a common heading."""

    title: str
    rows: list[list[Cell]]


@dataclass(frozen=True)
class Grid:
    """A table: the first column holds row names, the others numbers.

    Attributes:
        caption: plain text that says what is shown.
        label: of the LaTeX table, without the prefix ``tab:``.
        columns: as many as every row has cells.
    """

    caption: str
    label: str
    columns: list[Column]
    blocks: list[Block] = field(default_factory=list)

    def __post_init__(self) -> None:
        for block in self.blocks:
            for row in block.rows:
                if len(row) != len(self.columns):
                    raise ValueError(f"{block.title}: {len(row)} cells for {len(self.columns)} columns")


def to_markdown(grid: Grid) -> str:
    """`grid` as a caption and a pipe table; group and column title share one header cell.

    Text is text: nothing in it makes a link, a picture, HTML or another cell.
    """
    heads = [f"{c.group}: {c.title}" if c.group else c.title for c in grid.columns]
    rows = [heads, [":--", *("--:" for _ in grid.columns[1:])]]
    for block in grid.blocks:
        if block.title:
            rows.append([f"*{_md(block.title)}*", *("" for _ in grid.columns[1:])])
        rows += [[_md_cell(cell) for cell in row] for row in block.rows]
    rows[0] = [_md(head) for head in heads]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return f"{_md(grid.caption)}\n\n" + "\n".join(lines) + "\n"


def to_latex(grid: Grid) -> str:
    r"""`grid` as a ``table*`` environment, to be read by ``\input``; it is shrunk where it is too wide.

    It needs the packages booktabs and graphicx.
    """
    width = len(grid.columns)
    lines = [
        r"\begin{table*}[t]",
        r"\centering",
        rf"\caption{{{escape_tex(grid.caption)}}}",
        rf"\label{{tab:{grid.label}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{4pt}",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}l{'r' * (width - 1)}@{{}}}}",
        r"\toprule",
        *_group_headings(grid.columns),
        " & ".join(escape_tex(column.title) for column in grid.columns) + r" \\",
    ]
    for block in grid.blocks:
        lines.append(r"\midrule")
        if block.title:
            lines.append(rf"\multicolumn{{{width}}}{{@{{}}l}}{{\textit{{{escape_tex(block.title)}}}}} \\")
        lines += [" & ".join(_tex_cell(cell) for cell in row) + r" \\" for row in block.rows]
    text = "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table*}", ""])
    engine = " And XeLaTeX or LuaLaTeX, for its letters." * (max(text) > _LAST_OF_PDFLATEX)
    return rf"% Needs \usepackage{{booktabs,graphicx}}.{engine}" + "\n" + text


def escape_tex(text: str) -> str:
    """Plain text as LaTeX source, on one line."""
    return re.sub("|".join(map(re.escape, _TEX)), lambda match: _TEX[match.group()], one_line(text))


def _group_headings(columns: list[Column]) -> list[str]:
    if not any(column.group for column in columns):
        return []
    cells, rules, position = [], [], 1
    for group, members in groupby(columns, key=lambda column: column.group):
        span = len(list(members))
        if group:
            cells.append(rf"\multicolumn{{{span}}}{{c}}{{{escape_tex(group)}}}")
            rules.append(rf"\cmidrule(lr){{{position}-{position + span - 1}}}")
        else:
            cells += [""] * span
        position += span
    return [" & ".join(cells) + r" \\", "".join(rules)]


def _md(text: str) -> str:
    return _MARKDOWN.sub(lambda match: match[1] or f"\\{match[2]}", one_line(text))


def _md_cell(cell: Cell) -> str:
    value = f"**{_md(cell.value)}**" if cell.best else _md(cell.value)
    return f"{value} {_md(cell.detail)}".strip()


def _tex_cell(cell: Cell) -> str:
    value = escape_tex(cell.value)
    bold = rf"\textbf{{{value}}}" if cell.best else value
    # Braces keep a value that starts with [ from being read as the optional argument of the \\ before it.
    return f"{bold} {escape_tex(cell.detail)}".strip().replace("[", "{[}")
