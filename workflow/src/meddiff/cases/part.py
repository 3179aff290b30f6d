"""The case explorer as a part of the report's page."""

from __future__ import annotations

from pathlib import Path

from meddiff.cases.collect import details_of, read_index
from meddiff.errors import DataError
from meddiff.io import sha256_file
from meddiff.reporting.assets import asset
from meddiff.reporting.inline import data_uri
from meddiff.reporting.part import PagePart
from meddiff.text import script_safe_json

ID = "cases"
# Up to here everything is a part of the page, so that it is one file; beyond it is loaded from the folder.
_MOST_INLINE_BYTES = 4_500_000
# In the order of use.
_SCRIPTS = ("dom", "data", "noise", "charts", "pictures", "grid", "detail", "explorer")
_INTRODUCTION = """\
<p>Every test image, and what each model decided of it. Open one to see why: how the votes went, at which
noise levels the classes differ, where in the image, and what it would look like as another class.</p>
<p>Keys: arrows and Enter in the grid, <kbd>j</kbd> and <kbd>k</kbd> for the next and the previous case,
<kbd>/</kbd> to search, <kbd>Esc</kbd> to go back. The address of an open case can be sent to others.</p>
<noscript><p>The explorer needs JavaScript, which is switched off in this browser.</p></noscript>
<div id="cases-explorer"></div>
"""


def case_part(index: Path, folder: Path) -> PagePart:
    """The explorer of what `meddiff.cases.collect.collect_cases` wrote.

    Where all files together are small they become a part of the page. Otherwise the page expects `folder`
    beside it, under the name ``cases``.

    Raises:
        DataError: if the index cannot be read, or the folder has not the files that it lists.
    """
    content = read_index(index)
    files = _checked(index, folder, content.pop("files"))
    parts = [_json("cases-data", script_safe_json(content))]
    if index.stat().st_size + sum(path.stat().st_size for path in files) <= _MOST_INLINE_BYTES:
        parts += map(_inline, files)
    return PagePart(
        id=ID,
        title="Cases",
        html=_INTRODUCTION + "\n".join(parts),
        css=asset(ID, "cases.css"),
        js="\n".join(asset(ID, f"{name}.js") for name in _SCRIPTS),
    )


def _checked(index: Path, folder: Path, listed: dict[str, str]) -> list[Path]:
    """The files that an index lists, name -> checksum."""
    for name, sha256 in listed.items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != sha256:
            raise DataError(
                f"{path}: is missing or is not the file that {index} lists; make both again with "
                "`meddiff cases`"
            )
    return [folder / name for name in listed]


def _inline(path: Path) -> str:
    """One file of the folder as an element of the page."""
    if path.suffix == ".js":
        return _json(f"cases-details-{path.stem}", details_of(path))
    sheet = data_uri("image/webp", path.read_bytes())
    return f'<script type="text/plain" id="cases-sheet-{path.name}">{sheet}</script>'


def _json(name: str, content: str) -> str:
    return f'<script type="application/json" id="{name}">{content}</script>'
