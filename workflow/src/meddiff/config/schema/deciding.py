"""What is said of probabilities that somebody acts on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from meddiff.config.schema.strict import Strict

Share = Annotated[float, Field(gt=0, lt=1)]
# Class -> how frequent it is.
Prevalence = dict[str, Share]


class DecideParams(Strict):
    """Params of ``decide``."""

    prevalence: Prevalence | None = Field(
        default=None,
        description="of all classes, where the probabilities are used; by default as in validation",
    )
