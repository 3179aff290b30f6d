"""Two sections of the report: the draft of methods, and the check lists."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from markupsafe import Markup, escape

from meddiff.reporting.page import filled as filled_template
from meddiff.reporting.part import PagePart
from meddiff.writing.bibliography import short_name
from meddiff.writing.checklists import STATUSES, read_checklists
from meddiff.writing.item import Filled, answered_share

ASSETS = Path(__file__).parent / "assets"
_CITATION = re.compile(r"\[(@\w+(?:; @\w+)*)\]")
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_CODE = re.compile(r"`([^`]+)`")


def writing_parts(files: tuple[Path, Path, Path], anchors: Collection[str]) -> list[PagePart]:
    """The two sections.

    Args:
        files: methods (Markdown), references (BibTeX) and check lists (CSV).
        anchors: ids on the page, to which check lists may lead; links to others are left out.
    """
    methods, references, checklists = files
    css = (ASSETS / "writing.css").read_text(encoding="utf-8")
    draft = filled_template(
        "methods.html.j2",
        ASSETS,
        blocks=blocks_of(methods.read_text(encoding="utf-8")),
        references=references.read_text(encoding="utf-8"),
    )
    lists = [
        {"title": title, "items": [_shown(item, anchors) for item in items], **_counts(items)}
        for title, items in read_checklists(checklists).items()
    ]
    boxes = filled_template("checklists.html.j2", ASSETS, lists=lists, statuses=STATUSES)
    return [
        PagePart("methods", "Methods, for the paper", draft, css.replace("#part", "#methods")),
        PagePart("checklists", "Check lists, for the paper", boxes, css.replace("#part", "#checklists")),
    ]


def blocks_of(markdown: str) -> list[tuple[str, Markup]]:
    """Headings and paragraphs of the draft as HTML: (``h`` or ``p``, content)."""
    blocks = [block.strip() for block in markdown.split("\n\n") if block.strip()]
    return [
        ("h", html_of(block.removeprefix("## "))) if block.startswith("## ") else ("p", html_of(block))
        for block in blocks
        if not block.startswith("# ")
    ]


def html_of(text: str) -> Markup:
    """A paragraph of the draft: bold, code, citations, and characters after a backslash as they are."""
    # What follows a backslash is taken out first, so that nothing reads it as anything else.
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(found[1])
        return f"\x00{len(kept) - 1}\x00"

    text = re.sub(r"\\(.)", keep, text)
    html = str(escape(text))
    html = _BOLD.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", html))
    html = _CITATION.sub(lambda found: f"({escape(_names(found[1]))})", html)
    return Markup(re.sub("\x00(\\d+)\x00", lambda found: str(escape(kept[int(found[1])])), html))


def _names(keys: str) -> str:
    return "; ".join(short_name(key.strip().removeprefix("@")) for key in keys.split(";"))


def _shown(item: Filled, anchors: Collection[str]) -> dict[str, object]:
    known = {*anchors, "methods"}
    links = [
        (anchor, (anchor.partition("-")[2] or f"section {anchor}").replace("_", " "))
        for anchor in item.links
        if anchor in known
    ]
    return {
        "number": item.number,
        "section": item.section,
        "asks": item.asks,
        "status": item.status,
        "text": item.text,
        "links": links,
    }


def _counts(items: list[Filled]) -> dict[str, int]:
    applicable = [item for item in items if item.status != "not_applicable"]
    answered = sum(item.status in ("run", "author") for item in items)
    return {
        "answered": answered,
        "applicable": len(applicable),
        "share": round(100 * answered_share(items)),
    }
