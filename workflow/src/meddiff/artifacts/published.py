"""The paper's curves, as figures show them beside ours."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from meddiff.config.schema.strict import Strict

PUBLISHED = "published"
PUBLISHED_VALIDATION = "published (validation)"  # the paper's, of the validation images


class PublishedSteps(Strict):
    """Published step ablation: dataset -> model -> decision -> accuracies (percent) at `steps`."""

    steps: list[int]
    datasets: dict[str, dict[str, dict[Literal["majority", "mean"], list[float]]]]

    @model_validator(mode="after")
    def _lengths_agree(self) -> PublishedSteps:
        for models in self.datasets.values():
            for model, decisions in models.items():
                for decision, values in decisions.items():
                    _same_length(f"{model}.{decision}", values, "steps", self.steps)
        return self


class PublishedRemoval(Strict):
    """Published uncertainty curves: dataset -> model -> accuracies (percent) at `removed_percent`."""

    removed_percent: list[float]
    datasets: dict[str, dict[str, list[float]]]
    validation: dict[str, list[str]] = Field(
        default_factory=dict, description="dataset -> models whose curve is of the validation images"
    )

    @model_validator(mode="after")
    def _lengths_agree(self) -> PublishedRemoval:
        for models in self.datasets.values():
            for model, values in models.items():
                _same_length(model, values, "removed_percent", self.removed_percent)
        return self


def _same_length(what: str, values: list[float], axis: str, positions: list) -> None:
    if len(values) != len(positions):
        raise ValueError(f"{what}: {len(values)} values for {len(positions)} {axis}")
