"""The classes of a dataset: ``classes:``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, model_validator

from meddiff.config.schema.strict import Prompt, Strict, Title

# A switch is what R and pandas write for it: TRUE, True or true.
Label = bool | int | float | Annotated[str, Field(min_length=1, max_length=500)]


class ClassConfig(Strict):
    """One class: its value in the label column, or its values, and the name shown in tables.

    The only class of a dataset may have no value: then every row is of it.
    """

    value: Label | None = Field(
        default=None, exclude_if=lambda value: value is None, description="what the label column has"
    )
    values: list[Label] | None = Field(
        default=None,
        exclude_if=lambda values: values is None,
        min_length=1,
        description="several such values, any of which makes the class",
    )
    name: Title
    prompt: Prompt | None = Field(
        default=None, description="what a text-to-image model is told; the class's name where not given"
    )

    @model_validator(mode="after")
    def _says_its_values_once(self) -> ClassConfig:
        if self.value is not None and self.values is not None:
            raise ValueError("give value, or values for several, not both")
        return self

    @property
    def all_values(self) -> list[Label]:
        """Its values; none where every row is of it."""
        if self.values is not None:
            return self.values
        return [] if self.value is None else [self.value]


def is_unlabelled(classes: Sequence[ClassConfig]) -> bool:
    """Whether all rows are of one class, whatever a table says."""
    return len(classes) == 1 and not classes[0].all_values


def as_label(value: Label) -> float | str:
    """What a label column holds: there 1, 1.0 and "1" are one label, and so are true and "True"."""
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    return float(text) if re.fullmatch(r"[-+]?\d{1,300}(\.\d*)?", text) else text
