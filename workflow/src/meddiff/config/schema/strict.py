"""The base of every configuration object, and the kinds of values that appear in several of them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


class Strict(BaseModel):
    """Immutable; an unknown key is an error, and so are true for 1, text for a number, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _number_is_no_switch(value: Any) -> Any:
    if isinstance(value, bool):  # Python takes true for 1 where single values are listed
        raise ValueError("expected a number, not true or false")
    return value


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"expected a path inside the folder, without '..' and no leading '/', got {path!r}")
    return path


def _all_inside(given: str | list[str]) -> str | list[str]:
    paths = given if isinstance(given, list) else [given]
    if not paths or len(set(paths)) < len(paths):
        raise ValueError(f"expected at least one path, and each once, got {given}")
    for path in paths:
        if not 0 < len(path) <= 500 or any(ord(character) < 32 or character == "\x7f" for character in path):
            raise ValueError(f"expected a path of 1 to 500 printable characters, got {path!r}")
        _inside(path)
    return given


def _with_one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if groups != 1:
        raise ValueError(f"expected one group in parentheses, for the value; there are {groups}")
    return pattern


# What NumPy, PyTorch and scikit-learn all take.
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
# One line: it stands in tables, captions and figures.
Title = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f\u2028\u2029]*$"
    ),
]
# May be empty: what a text-to-image model is told.
Prompt = Annotated[str, Field(max_length=1000)]
# Part of paths of the workflow, and of wildcards: nothing that leads elsewhere or that a shell would read.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
# A file or folder below one that is known.
InnerPath = Annotated[
    str,
    Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$"),
    AfterValidator(_inside),
]
# One such path, or several.
InnerPaths = Annotated[str | list[str], AfterValidator(_all_inside)]
# A regular expression whose one group is what is taken out of a text.
Extraction = Annotated[str, AfterValidator(_with_one_group)]
# A file that the user has, wherever it is.
FilePath = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Column = Annotated[str, Field(min_length=1, max_length=500)]
NotBool = BeforeValidator(_number_is_no_switch)
# YAML has lists; what is in them is as strict as the rest.
Range = Annotated[tuple[float, float], Field(strict=False)]
Side = Annotated[int, Field(ge=8, le=4096, description="pixels")]
Steps = Annotated[int, Field(ge=1, le=100_000)]
