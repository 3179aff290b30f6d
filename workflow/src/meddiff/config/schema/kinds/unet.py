"""What the file of a UNet may say."""

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
    side_problems,
)


class UNetConfig(DiffusionBase):
    """A class-conditional UNet, trained from scratch and used as a classifier."""

    kind: Literal["unet"]
    wavelet: Wavelet = True
    prediction: Prediction = "v_prediction"
    schedule: ScheduleConfig
    embedding_outside: bool | None = Field(
        default=None, description="class embedding gets neither EMA nor gradient clipping; set by the preset"
    )

    pretrained: FromRun = None

    given: ClassVar[Mapping[str, str]] = GIVEN

    def problems_with(self, dataset: DatasetConfig, datasets: Sequence[str]) -> list[str]:
        problems = [*side_problems(self, dataset), *class_weight_problems(self.class_weights, self, dataset)]
        if self.architecture.get("encoder_hid_dim") is None:
            problems.insert(0, "architecture.encoder_hid_dim: missing; it is the size of the class embedding")
        return problems
