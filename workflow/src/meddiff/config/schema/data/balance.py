"""Classes of equal size: ``balance:``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

# Split -> what its classes are made as large as; a split that is not named keeps its mix.
Balance = Annotated[dict[Literal["train", "valid", "test"], Literal["smallest"]], Field(min_length=1)]
