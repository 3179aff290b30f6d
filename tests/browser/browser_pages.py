"""Pages that are opened in a browser, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WIDTHS = (390, 1440)


@dataclass
class Opened:
    """A page, and what went wrong since it was opened.

    Attributes:
        page: Playwright's.
        problems: messages of the console (errors and warnings), exceptions, requests that failed or that left
            the page's folder.
    """

    page: Page
    problems: list[str] = field(default_factory=list)


def is_cut_off(page: Page) -> bool:
    """Whether the page is wider than the window, so that one has to scroll sideways to see all of it."""
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def serious_violations(page: Page) -> dict[str, list[str]]:
    """What axe-core finds that keeps people out: rule -> the elements."""
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return {one["id"]: [node["html"][:200] for node in one["nodes"][:5]] for one in serious}
