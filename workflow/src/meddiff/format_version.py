"""Files that outlive a version of meddiff say which version of their format they have.

The first files of a kind that has older ones say nothing: that is version 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar

from meddiff.errors import MeddiffError

KEY = "format_version"

Content = TypeVar("Content")


def as_of_today(
    path: str | Path,
    found: Any,
    content: Content,
    older: Sequence[Callable[[Content], Content]],
    error: type[MeddiffError],
    repair: str,
) -> Content:
    """Content of a file in today's form, whichever version wrote it.

    Args:
        path: the file, for messages.
        found: the version of its format, as it says; None where it says nothing.
        content: what it holds.
        older: one function for each older version, from 1 on, which turns its content into the next one's.
        error: what is raised.
        repair: what to do about a file that is of no use.

    Raises:
        MeddiffError: `error`, if a newer meddiff made the file, or its version is no number from 1 on.
    """
    newest, version = len(older) + 1, 1 if found is None else found
    understood = "version 1" if newest == 1 else f"versions 1 to {newest}"
    if not isinstance(version, Integral) or version < 1:
        raise error(f"{path}: its {KEY} is {version!r}, expected a whole number ({understood}); {repair}")
    if version > newest:
        raise error(
            f"{path}: was made by a newer meddiff: its {KEY} is {version}, and this meddiff understands "
            f"{understood}; update meddiff, or else {repair}"
        )
    for to_next in older[version - 1 :]:
        content = to_next(content)
    return content
