"""What the file of a baseline may say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.kinds.base import CLASS_WEIGHTS, ClassWeights, ModelBase, class_weight_problems
from meddiff.config.schema.pretrained import PretrainedConfig, PretrainingRun

# A tag after a dot names weights in timm's list. No colon: `hf-hub:` and `local-dir:` fetch a model.
_TIMM_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")


class TimmConfig(ModelBase):
    """A discriminative classifier from timm."""

    kind: Literal["timm"]
    family: Literal["cnn", "transformer"] = Field(description="block of the paper's table")
    augment: bool = Field(default=True, description="change training images as the dataset's file allows")
    class_weights: ClassWeights = Field(default="none", description=CLASS_WEIGHTS)
    pretrained: PretrainedConfig | PretrainingRun | None = Field(
        default=None, description="weights that training begins from; random where not given"
    )
    normalisation: Literal["half", "pretrained"] | None = Field(
        default=None, description="(x - .5) / .5, or the mean and deviation of the pretrained weights"
    )

    given: ClassVar[Mapping[str, str]] = {
        "num_classes": "the dataset's classes",
        "in_chans": "the dataset's channels",
    }

    def architecture_problems(self) -> list[str]:
        return [*_name_problems(self.architecture), *super().architecture_problems()]

    def problems_with(self, dataset: DatasetConfig, datasets: Sequence[str]) -> list[str]:
        return class_weight_problems(self.class_weights, self, dataset)


def _name_problems(architecture: Mapping[str, Any]) -> list[str]:
    name = architecture.get("model_name")
    if name is None:
        return ["model_name: missing; it is timm's name of the model"]
    if not isinstance(name, str) or not _TIMM_NAME.fullmatch(name):
        return [
            f"model_name: expected a name in timm's list, such as resnet18, got {name!r}; nothing is fetched "
            "from a hub or read from a folder"
        ]
    return []
