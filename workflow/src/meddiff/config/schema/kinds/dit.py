"""What the file of a DiT may say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.kinds.base import DiffusionBase, class_weight_problems
from meddiff.config.schema.kinds.pixels import (
    GIVEN,
    FromRun,
    Prediction,
    ScheduleConfig,
    Wavelet,
    side_of,
    side_problems,
)

_PATCH = 2  # of diffusers, where the file says nothing


class DiTConfig(DiffusionBase):
    """A class-conditional diffusion transformer, trained from scratch and used as a classifier."""

    kind: Literal["dit"]
    wavelet: Wavelet = True
    prediction: Prediction = "v_prediction"
    schedule: ScheduleConfig
    adaln_zero_init: bool | None = Field(
        default=None, description="start each block as the identity; set by the preset"
    )
    label_table_size: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="rows of each block's label table before its null row; 0 = number of classes; set by the "
        "preset",
    )
    block_label_dropout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="further label dropout, drawn by every block on its own; set by the preset",
    )

    pretrained: FromRun = None

    given: ClassVar[Mapping[str, str]] = {
        **GIVEN,
        "num_embeds_ada_norm": "the dataset's classes, or label_table_size",
    }

    def problems_with(self, dataset: DatasetConfig, datasets: Sequence[str]) -> list[str]:
        if problems := side_problems(self, dataset):
            return problems
        problems = class_weight_problems(self.class_weights, self, dataset)
        side, patch = side_of(self, dataset), self.architecture.get("patch_size", _PATCH)
        if not isinstance(patch, int) or side % patch:
            half = ", half the image's" * self.wavelet
            problems.append(
                f"architecture.patch_size: must divide the network's side of {side}{half}, got {patch!r}"
            )
        classes = len(dataset.classes)
        if self.label_table_size and self.label_table_size < classes:
            problems.append(f"label_table_size: must be 0 or at least {classes}, one row a class")
        return problems
