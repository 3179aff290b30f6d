"""A part of the report's page: what the rooms that show something hand to the one that makes the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PagePart:
    """One section of the report.

    Attributes:
        id: its anchor, unique on the page.
        title: plain text, its heading and its entry in the page's contents.
        html: its content, without the heading. Every text in it is escaped already.
        css: rules for it, all below ``#<id>``; colours are the page's variables.
        js: a script that runs once the page is parsed, in a function of its own.
    """

    id: str
    title: str
    html: str
    css: str = ""
    js: str = ""
