"""Text from configuration files, made safe for where it is shown."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

# Those that reverse the direction of what follows them: they could show one name as another.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """`text` without control characters and line breaks; runs of white space become one space."""
    printable = (" " if unicodedata.category(c) == "Cc" else c for c in _BIDI.sub("", text))
    return " ".join("".join(printable).split())


def script_safe_json(value: Any) -> str:
    """JSON with sorted keys and without ``<``, ``>`` and ``&``, which are escaped within its strings.

    Snakemake writes the params of rules into a ``<script>`` of its report as they are; a title with
    ``</script>`` would end it, and what follows would run.
    """
    text = json.dumps(value, sort_keys=True)
    # Outside of strings JSON has none of these characters.
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")
