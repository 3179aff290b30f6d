"""What the file of a Stable Diffusion may say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.kinds.base import DiffusionBase, class_weight_problems
from meddiff.config.schema.pretrained import GeneratedPretrained, PretrainedConfig
from meddiff.config.schema.strict import Prompt
from meddiff.config.schema.training import TrainConfig


class StableDiffusionConfig(DiffusionBase):
    """A latent text-to-image model (diffusers' Stable Diffusion layout), told the class by a prompt.

    `architecture` (``unet``, ``vae``, ``scheduler``, ``tokens``) and `prompts` are filled in from the
    pretrained folder and from the dataset's classes.
    """

    kind: Literal["stable_diffusion"]
    pretrained: PretrainedConfig | GeneratedPretrained
    train: TrainConfig | None = Field(default=None, description="fine-tuning; without it, zero-shot")
    train_on: Literal["dataset", "joint"] = Field(
        default="dataset", description="each dataset on its own, or one model on all of them"
    )
    loss_weight: Literal["min_snr", "official", "uniform"] = "uniform"
    label_dropout: float = Field(default=0.0, ge=0, lt=1)
    # As published it has its own (`train.augmentation`), and a joint model cannot have that of each dataset.
    augment: bool = False
    gradient_checkpointing: bool = Field(default=False, description="less memory, more time; same result")
    train_geometry: Literal["squash", "crop"] | None = Field(
        default=None, description="squash training images like all others, or crop the middle, as published"
    )
    prompts: list[Prompt] | None = Field(
        default=None, description="one a class; the dataset's where not given"
    )

    def problems_with(self, dataset: DatasetConfig, datasets: Sequence[str]) -> list[str]:
        problems = class_weight_problems(self.class_weights, self, dataset)
        if self.architecture:
            problems.append("architecture: is that of the pretrained folder; leave it out")
        if self.prompts is not None and len(self.prompts) != len(dataset.classes):
            problems.append(f"prompts: expected one a class, {len(dataset.classes)}, got {len(self.prompts)}")
        if isinstance(self.pretrained, GeneratedPretrained):
            problems += [
                f"pretrained.datasets: {name} is not in the experiment, which has {', '.join(datasets)}; "
                "the autoencoder is fit to images of these. Write a model's file of your own, with these "
                "datasets and another pretrained.name"
                for name in self.pretrained.datasets
                if name not in datasets
            ]
        return problems
