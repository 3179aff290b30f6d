"""What tables and figures are made of: trained models, what they are scored with, and how they decide."""

from __future__ import annotations

from pydantic import Field

from meddiff.config.schema.strict import Name, Strict


class TrainedRun(Strict):
    """Identity of one trained model."""

    dataset: str
    model: str
    seed: int


class ScoringRun(TrainedRun):
    """Identity of one errors file."""

    votes: int | None = Field(
        default=None, description="vote seed, of the noise in scoring; None for what is decided without noise"
    )


class Run(ScoringRun):
    """Identity of one predictions or metrics file."""

    decision: Name = Field(description="decision rule, or ``softmax`` of what has a single answer")
