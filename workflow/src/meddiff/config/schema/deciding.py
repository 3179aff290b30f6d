"""What is said of probabilities that somebody acts on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from meddiff.config.schema.strict import Strict

Share = Annotated[float, Field(gt=0, lt=1)]
# Class -> how frequent it is.
Prevalence = dict[str, Share]


Promised = Annotated[float, Field(ge=0.5, lt=1)]


class TriageConfig(Strict):
    """What is promised of images that are decided without a person (`meddiff.readout.triage`)."""

    ppv: Promised = Field(default=0.95, description="two classes: least precision of positive decisions")
    npv: Promised = Field(default=0.95, description="two classes: least precision of negative decisions")
    coverage: Promised = Field(
        default=0.9, description="more classes: least share of images of each class whose set has it"
    )
    confidence: Promised = Field(
        default=0.95,
        description="over draws of the validation split: of ppv, of npv, and of the coverage of all classes "
        "at once",
    )


class DecideParams(Strict):
    """Params of ``decide``."""

    prevalence: Prevalence | None = Field(
        default=None,
        description="of all classes, where the probabilities are used; by default as in validation",
    )
    triage: TriageConfig | None = Field(default=None, description="by default no image is triaged")
