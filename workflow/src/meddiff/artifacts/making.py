"""From an artifact's settings and input files to its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from meddiff.artifacts.artifact import Figure, Files, Table
from meddiff.errors import ConfigError
from meddiff.io import atomic_path, write_text
from meddiff.result_csv import read_csv, write_csv

_TEXT = {"image_id": str, "group": str}  # though they may look like numbers


class _Given(dict[str, list[Path]]):
    """Files by name, with a message for a name that is missing."""

    def __missing__(self, name: str) -> list[Path]:
        raise ConfigError(f"--input {name}: missing; given are {', '.join(self) or 'none'}")


def make_table(table: Table, settings: Any, files: Files, csv: Path, markdown: Path, latex: Path) -> None:
    """Make a table and write it in its three forms.

    Raises:
        ConfigError: if files are missing, or their number is wrong.
        DataError: if a file is wrong.
    """
    from meddiff.artifacts.render import to_latex, to_markdown

    data, grids = table.make(settings, _Given(files))
    write_csv(data, csv)
    write_text(markdown, "\n".join(map(to_markdown, grids)))
    write_text(latex, "\n".join(map(to_latex, grids)))


def draw_figure(figure: Figure, settings: Any, files: Files, csv: Path, png: Path, pdf: Path) -> None:
    """Write the data of a figure as CSV, and draw what the CSV says as PNG and PDF.

    Raises:
        ConfigError: if files are missing, or their number is wrong.
        DataError: if a file is wrong.
    """
    from meddiff.artifacts.style import save

    given = _Given(files)
    data = figure.data(settings, given)
    with atomic_path(csv) as temporary:  # no data without its drawing
        write_csv(data, temporary)
        drawing = figure.draw(read_csv(temporary, dtype=_TEXT), settings, given)
    save(drawing, png, pdf, settings.style.dpi)
