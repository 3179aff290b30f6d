"""Answers for people and programs: a table on a terminal or in plain text, JSON, CSV."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meddiff.readout.predictions import UNCERTAINTY
from meddiff.readout.shown_kind import shown_kind
from meddiff.text import one_line

if TYPE_CHECKING:
    import pandas as pd

UNLIKE_WORDS = "unlike what this model was trained on"
_STAR = " *"
_DISAGREE = (
    "* Calibrated, another class is more probable. The decision goes by votes or scores alone; the\n"
    "  calibrated probability also knows what these meant in validation, and how frequent each class is."
)
# Before such a cell, a spreadsheet would compute.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def answer_words(answer: Mapping[str, Any], class_names: Sequence[str]) -> dict[str, str]:
    """What is said of one image that was answered, in a few words each, by what it is."""
    name, decision = answer["class"], answer["decision"]
    kinds = [key.removeprefix(UNCERTAINTY) for key in answer if key.startswith(UNCERTAINTY)]
    found = {
        "Class": one_line(str(name)),
        "Vote share" if decision == "majority" else "Probability": f"{answer[f'p_{name}']:.3f}",
    }
    if (calibrated := answer.get(f"calibrated_{name}")) is not None:
        found["Calibrated"] = f"{calibrated:.3f}"
    if "triage" in answer:
        found["Set"] = _set_words(answer, class_names)
    found["Uncertainty"] = f"{answer[UNCERTAINTY + shown_kind(decision, kinds)]:.3f}"
    if answer["steps"] > 1:
        found["Steps"] = f"{answer['steps_used']:.0f} of {answer['steps']:.0f}"
    if answer.get("unlike"):
        found["Doubt"] = UNLIKE_WORDS
    return found


def _set_words(answer: Mapping[str, Any], class_names: Sequence[str]) -> str:
    """The classes that an image may be of."""
    within = [name for name in class_names if answer[f"in_set_{name}"]]
    return ", ".join(map(one_line, within)) or "none"


def as_text(table: pd.DataFrame, class_names: Sequence[str]) -> str:
    """Answers as a table: with colours and lines on a terminal, else one line an image with aligned cells.

    A calibrated probability that is below another class's has a star, which a line below explains.
    """
    answered = table[table["refused"] == ""].to_dict("records")
    words = [{"Image": one_line(row["image"]), **answer_words(row, class_names)} for row in answered]
    starred = [
        row_words for row, row_words in zip(answered, words, strict=True) if _disagrees(row, class_names)
    ]
    for row_words in starred:
        row_words["Calibrated"] += _STAR
    note = f"\n{_DISAGREE}" if starred else ""
    columns = list(dict.fromkeys(name for row in words for name in row))
    if not words:
        return ""
    cells = [[row.get(column, "") for column in columns] for row in words]
    if sys.stdout.isatty():
        return _rich(columns, cells) + note
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [columns, *cells]
    ]
    return "\n".join(lines) + note


def _disagrees(answer: Mapping[str, Any], class_names: Sequence[str]) -> bool:
    """Whether another class than the decided one has the highest calibrated probability."""
    own = answer.get(f"calibrated_{answer['class']}")
    return own is not None and own < max(answer[f"calibrated_{name}"] for name in class_names)


def _rich(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table()
    for column in columns:
        shown.add_column(column, overflow="fold", style="red" if column == "Doubt" else None)
    for row in cells:
        shown.add_row(*map(Text, row))
    console = Console()
    with console.capture() as capture:
        console.print(shown)
    return capture.get().rstrip("\n")


def as_json(table: pd.DataFrame) -> str:
    """A list of objects, one an image; missing values are null."""

    def value(cell: Any) -> Any:
        cell = cell.item() if hasattr(cell, "item") else cell
        return None if isinstance(cell, float) and not math.isfinite(cell) else cell

    rows = [{key: value(cell) for key, cell in row.items()} for row in table.to_dict("records")]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def write_answers(table: pd.DataFrame, path: Path) -> None:
    """Write answers as CSV at full precision, atomically; what a spreadsheet would compute gets a `'`."""
    from meddiff.io import atomic_path

    safe = table.copy()
    for column in safe.select_dtypes(["object", "string"]):
        safe[column] = [
            f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
            for cell in safe[column]
        ]
    with atomic_path(path) as temporary:
        safe.to_csv(temporary, index=False, lineterminator="\n")
