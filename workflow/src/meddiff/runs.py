"""What tables and figures are made of: trained models, what they are scored with, and how they decide."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from meddiff.config.schema.strict import Name, Strict

# Not in a dataset's name.
_TESTED_ON = "-on-"


class TrainedRun(Strict):
    """Identity of one trained model."""

    dataset: str
    model: str
    seed: int

    def shown(self) -> Self:
        """The run as results name it."""
        return self


class ScoringRun(TrainedRun):
    """Identity of one errors file."""

    votes: int | None = Field(
        default=None, description="vote seed, of the noise in scoring; None for what is decided without noise"
    )
    tested_on: str | None = Field(
        default=None,
        exclude_if=lambda name: name is None,
        description="the dataset whose test split is scored, where it is not the one trained on",
    )

    def own(self) -> Self:
        """The same on the test split of the dataset trained on."""
        return self.model_copy(update={"tested_on": None})

    def shown(self) -> Self:
        """The run as results name it: what was trained on one dataset and tested on another has its own."""
        if self.tested_on is None:
            return self
        return self.model_copy(update={"dataset": pair(self.dataset, self.tested_on), "tested_on": None})


class Run(ScoringRun):
    """Identity of one predictions or metrics file."""

    decision: Name = Field(description="decision rule, or ``softmax`` of what has a single answer")


def pair(trained_on: str, tested_on: str) -> str:
    """What results call the test split of a dataset before models that were trained on another one."""
    return f"{trained_on}{_TESTED_ON}{tested_on}"


def trained_on(dataset: str) -> str:
    """The dataset that models of a pair were trained on; others as they are."""
    return dataset.partition(_TESTED_ON)[0]


def is_pair(dataset: str) -> bool:
    """Whether results call a pair of datasets so."""
    return _TESTED_ON in dataset
