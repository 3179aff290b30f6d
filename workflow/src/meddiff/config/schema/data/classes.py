"""The classes of a dataset: ``classes:``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from meddiff.config.schema.strict import Prompt, Strict, Title

Label = int | Annotated[str, Field(min_length=1, max_length=500)]


class ClassConfig(Strict):
    """One class: the value in the label column, and the name shown in tables."""

    value: Label
    name: Title
    prompt: Prompt | None = Field(
        default=None, description="what a text-to-image model is told; the class's name where not given"
    )


def as_label(value: Label) -> float | str:
    """What a label column holds: there 1, 1.0 and "1" are one label."""
    text = str(value).strip()
    return float(text) if re.fullmatch(r"[-+]?\d{1,300}(\.\d*)?", text) else text
