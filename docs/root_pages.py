"""Pages of the site that live elsewhere in the repository, and links between all of them.

A page is written once, where people who read the repository look for it. The site gets a copy with links that
fit; so a link in any Markdown file is written as the repository has it, and works in both places.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

GENERATED = "_generated"
# File of the repository -> page of the site.
PAGES = {
    "config/README.md": f"{GENERATED}/configuration",
    "splits/README.md": f"{GENERATED}/splits",
    "benchmarks/README.md": f"{GENERATED}/benchmarks",
    "benchmarks/results/latest.md": f"{GENERATED}/benchmark_results",
    "ARCHITECTURE.md": f"{GENERATED}/architecture",
    "CONTRIBUTING.md": f"{GENERATED}/contributing",
    "README.md": "index",
}
_LINK = re.compile(r"(?P<text>\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_PICTURE = re.compile(r"^```mermaid\n.*?^```\n", re.DOTALL | re.MULTILINE)


def write(docs: Path) -> None:
    """Write the copies of pages into ``_generated``; those that say the same stay untouched."""
    root = docs.parent
    for source, page in PAGES.items():
        if not page.startswith(GENERATED):
            continue
        text = (root / source).read_text(encoding="utf-8")
        # A script that would have to be fetched draws Mermaid's pictures; the table below says the same.
        text = _PICTURE.sub(f"*(The picture is in `{source}` of the repository.)*\n", text)
        write_if_changed(docs / f"{page}.md", linked(text, root, PurePosixPath(source), page))


def write_if_changed(path: Path, text: str) -> None:
    """Sphinx reads again what is newer."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def rewrite_links(app, page: str, source: list[str]) -> None:
    """Sphinx's event: the links of a page in docs/ that lead to pages elsewhere in the repository."""
    if not page.startswith(GENERATED):
        docs = Path(app.srcdir)
        source[0] = linked(source[0], docs.parent, PurePosixPath(f"docs/{page}.md"), page)


def linked(text: str, root: Path, source: PurePosixPath, page: str) -> str:
    """A Markdown text with its links as the site needs them; code is left as it is.

    Args:
        text: of the file.
        root: of the repository.
        source: the file, relative to the root: links are relative to its folder.
        page: where its text stands on the site, relative to docs/, without ending.
    """

    def link(match: re.Match[str]) -> str:
        target, anchor = match["target"], match["anchor"] or ""
        if not target or "://" in target:
            return match[0]
        path = os.path.normpath(source.parent / target)
        if path in PAGES:
            new = f"{PAGES[path]}.md"
        elif path.startswith("docs/"):
            new = path.removeprefix("docs/")
        elif (root / path).is_dir():
            return match["text"][1:-1]  # a folder is no page and cannot be downloaded
        else:
            new = f"../{path}"
        return f"{match['text']}({os.path.relpath(new, PurePosixPath(page).parent)}{anchor})"

    parts = _FENCE.split(text)
    return "".join(part if i % 2 else _LINK.sub(link, part) for i, part in enumerate(parts))
