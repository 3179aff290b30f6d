"""Debian's Chromium, and pages that note what goes wrong in them.

The tests skip where Chromium is missing; `make install-browser` installs it where it can.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser_pages import Opened
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; `make install-browser` installs Debian's")
    with sync_playwright() as playwright:
        # The sandbox refuses root, who runs the tests in containers; the pages are our own.
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """A function that opens a file: ``opened(path, width=1440, scheme="light", scripts=True)``."""
    contexts = []

    def open_file(
        path: Path, *, width: int = 1440, scheme: str = "light", scripts: bool = True, anchor: str = ""
    ) -> Opened:
        context = browser.new_context(
            viewport={"width": width, "height": 1000},
            color_scheme=scheme,
            java_script_enabled=scripts,
            accept_downloads=True,
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        found = Opened(context.new_page())
        problems, folder = found.problems, path.resolve().parent.as_uri()
        loud = ("error", "warning")
        found.page.on("console", lambda m: m.type in loud and problems.append(f"{m.type}: {m.text}"))
        found.page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
        found.page.on("requestfailed", lambda request: problems.append(f"failed: {request.url[:200]}"))

        def inside(url: str) -> bool:
            return url.startswith(("data:", "blob:", folder))

        found.page.on("request", lambda r: inside(r.url) or problems.append(f"asks for {r.url[:200]}"))
        found.page.goto(path.resolve().as_uri() + anchor)
        return found

    yield open_file
    for context in contexts:
        context.close()
