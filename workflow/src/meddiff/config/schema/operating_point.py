"""What may be said about where a positive image is called positive."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from meddiff.config.schema.strict import Strict

Share = Annotated[float, Field(gt=0, le=1)]


class AtLeast(Strict):
    """The least sensitivity, or the least specificity, on the validation split."""

    sensitivity: Share | None = None
    specificity: Share | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> AtLeast:
        if (self.sensitivity is None) == (self.specificity is None):
            raise ValueError("expected either a sensitivity or a specificity, such as {sensitivity: 0.9}")
        return self

    def __str__(self) -> str:
        """In words."""
        name, least = next((k, v) for k, v in self.model_dump().items() if v is not None)
        return f"a {name} of at least {100 * least:g} %"


OperatingPoint = Literal["youden"] | AtLeast
YOUDEN: Literal["youden"] = "youden"
