"""The page: parts in their order below one heading, with contents, in one file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meddiff.reporting.assets import asset
from meddiff.reporting.part import PagePart

if TYPE_CHECKING:
    from jinja2 import Environment

    from meddiff.reporting.settings import ReportSettings

ASSETS = Path(__file__).parent / "assets"


@cache
def templates(folder: Path = ASSETS) -> Environment:
    """Jinja's templates of a folder; whatever they are given is escaped, unless it is marked as safe."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(folder)
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def filled(template: str, folder: Path = ASSETS, **values: Any) -> str:
    """A template with values filled in; text among them is escaped.

    Args:
        template: its file name.
        folder: where it lies.
        values: by name; every name that the template has must be there.
    """
    return templates(folder).get_template(template).render(**values)


def page(settings: ReportSettings, parts: Sequence[PagePart], library: str = "") -> str:
    """The whole page as HTML.

    Args:
        settings: of which experiment.
        parts: its sections, in their order.
        library: JavaScript that the page's script finds there (`meddiff.reporting.charts.lines.library`).

    Raises:
        ValueError: if two parts have the same id.
    """
    ids = [part.id for part in parts]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise ValueError(f"two parts of the page have the id {twice[0]!r}")
    return filled(
        "page.html.j2",
        settings=settings,
        parts=parts,
        library=library,
        css=asset("reporting", "page.css"),
        js=asset("reporting", "page.js"),
    )
