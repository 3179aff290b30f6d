"""What a model's file may say, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from meddiff.config.schema.architecture import architecture_problems
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.strict import Name, Side, Steps, Strict, Title
from meddiff.config.schema.training import TrainConfig

# Folders of a release: in each part a letter, digit or underscore comes first, so none leads upwards.
ReleaseFolder = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")]


ClassWeights = Literal["none", "balanced"] | list[Annotated[float, Field(gt=0, le=1e6)]]
CLASS_WEIGHTS = (
    "what an image's loss is multiplied by: by the inverse share of its class in the training images, or one "
    "factor a class"
)


class ModelBase(Strict):
    """What all kinds have in common."""

    kind: str
    title: Title
    family: str = Field(description="block of the paper's table")
    image_size: Side | None = Field(default=None, description="input side; the dataset's where not given")
    architecture: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of the library's model"
    )
    train: TrainConfig
    augment: bool | None = Field(
        default=None, description="change training images as the dataset's file allows; set by the preset"
    )
    published: str | None = Field(default=None, description="row of config/published.yaml")
    released: dict[Name, ReleaseFolder] = Field(
        default_factory=dict, description="dataset -> folder of the authors' released weights"
    )

    # Keys of `architecture` that the workflow sets itself, and what it takes them from.
    given: ClassVar[Mapping[str, str]] = {}

    def architecture_problems(self) -> list[str]:
        """What cannot be right in `architecture`, each with its key."""
        return architecture_problems(self.architecture, self.given)

    def problems_with(self, dataset: DatasetConfig, datasets: Sequence[str]) -> list[str]:
        """What does not fit between the model and a dataset, each with its key.

        Args:
            dataset: the dataset, whose overrides are applied to the model.
            datasets: names of all datasets of the experiment.
        """
        return []

    @model_validator(mode="after")
    def _architecture_is_possible(self) -> ModelBase:
        if problems := self.architecture_problems():
            raise ValueError("; ".join(f"architecture.{problem}" for problem in problems))
        return self

    @model_validator(mode="after")
    def _only_training_images_are_changed(self) -> ModelBase:
        if self.augment and self.train is None:
            raise ValueError("augment: changes training images, but without `train` there is no training")
        return self


def class_weight_problems(weights: ClassWeights, model: ModelBase, dataset: DatasetConfig) -> list[str]:
    """What does not fit between the weights of classes in the loss of a model, and a dataset."""
    number = len(dataset.classes)
    if model.train is None and weights != "none":
        return ["class_weights: are of the loss, but without `train` there is no training"]
    if not isinstance(weights, list):
        return []
    if getattr(model, "train_on", None) == "joint":
        return ["class_weights: one model is trained on all datasets; use `balanced`, which counts classes"]
    if len(weights) != number:
        return [f"class_weights: expected one a class, {number}, got {len(weights)}"]
    return []


class DiffusionBase(ModelBase):
    """What all diffusion classifiers have in common."""

    family: Literal["diffusion"] = "diffusion"
    label_dropout: float = Field(default=0.15, ge=0, lt=1)
    validation_steps: Steps = Field(
        default=51, description="classification steps in validation, an odd number: a draw cannot be"
    )
    loss_weight: Literal["min_snr", "official", "uniform"] | None = None
    # Left out where it changes nothing: so what was trained before there was such a key is not trained again.
    class_weights: ClassWeights = Field(
        default="none", exclude_if=lambda weights: weights == "none", description=CLASS_WEIGHTS
    )

    @field_validator("validation_steps")
    @classmethod
    def _no_draw(cls, steps: int) -> int:
        if steps % 2 == 0:
            raise ValueError(
                f"a majority of {steps} votes can be a draw; take an odd number, such as {steps + 1}"
            )
        return steps
