"""The documentation site: `make docs` builds it into docs/_build, with warnings as errors.

Sphinx with MyST, which reads the Markdown that the repository has already, and the theme Furo. Weighed
against it were Material for MkDocs, which its makers only maintain and develop no further, and plain MkDocs,
which has no reference of Python code of its own. Nothing is fetched: the theme takes the system's fonts.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow" / "src")]

import reference_pages  # noqa: E402  (beside this file)
import root_pages  # noqa: E402

project = "meddiff"
author = "meddiff contributors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "dollarmath"]
suppress_warnings = ["myst.header"]  # config/README.md has small headings below large ones, for its contents
default_role = "literal"  # docstrings have names between single backticks
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
smartquotes = False  # `--option` is not a dash
toc_object_entries = False  # of every function beside the page
napoleon_use_ivar = True
html_theme = "furo"
html_title = "meddiff"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False


CODE = re.compile(r"(`+.*?`+)")


def plain_text(app, what, name, obj, options, lines: list[str]) -> None:
    """Sphinx's event: docstrings are plain text, in which * and | are themselves: [*, C], |d|."""
    for i, line in enumerate(lines):
        parts = CODE.split(line)
        parts[::2] = [re.sub(r"([*|])", r"\\\1", part) for part in parts[::2]]
        lines[i] = "".join(parts)


def setup(app) -> None:  # Sphinx's type: not imported for a hint
    """Pages that are made of other files are written before sources are looked for."""
    root_pages.write(HERE)
    reference_pages.write(HERE)
    app.connect("source-read", root_pages.rewrite_links)
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # before Napoleon's, at 500
