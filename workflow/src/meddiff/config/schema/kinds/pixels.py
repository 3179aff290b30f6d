"""What the files of diffusion models of images have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import Field, model_validator

from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.pretrained import PretrainingRun
from meddiff.config.schema.strict import Strict

Wavelet = Annotated[bool, Field(description="work on the one-level Haar transform of the image")]
Prediction = Literal["v_prediction", "epsilon"]
FromRun = Annotated[
    PretrainingRun | None,
    Field(
        # Left out of what trainings depend on: those without it stay as they are.
        exclude_if=lambda run: run is None,
        description="a training of the same experiment whose weights this one begins from; random where not "
        "given",
    ),
]
# Of every such network, for `ModelBase.given`.
GIVEN: Mapping[str, str] = {
    "sample_size": "image_size and wavelet",
    "in_channels": "the dataset's channels and wavelet",
    "out_channels": "the dataset's channels and wavelet",
}


class ScheduleConfig(Strict):
    """Shifted cosine schedule of simple diffusion; shift = ln(noise_size / image_size)."""

    image_size: int = Field(ge=1, le=65536)
    noise_size: int = Field(ge=1, le=65536)
    logsnr_max: float = Field(default=15.0, ge=-50, le=50)
    logsnr_min: float = Field(default=-15.0, ge=-50, le=50)

    @model_validator(mode="after")
    def _is_a_range(self) -> ScheduleConfig:
        if self.logsnr_max <= self.logsnr_min:
            raise ValueError(
                f"logsnr_max ({self.logsnr_max}) must be above logsnr_min ({self.logsnr_min}): the signal "
                "fades from the one to the other"
            )
        return self


@runtime_checkable
class PixelModel(Protocol):
    """A model that works on the pixels of images, or on their Haar transform."""

    image_size: int | None
    wavelet: bool
    prediction: Prediction
    schedule: ScheduleConfig


def side_of(model: PixelModel, dataset: DatasetConfig) -> int:
    """Side of what the network works on, on a dataset."""
    size = model.image_size or dataset.image_size
    return size // 2 if model.wavelet else size


def side_problems(model: PixelModel, dataset: DatasetConfig) -> list[str]:
    """What is wrong with the size of the images."""
    size = model.image_size or dataset.image_size
    if model.wavelet and size % 2:
        return [f"image_size: the Haar transform needs an even side, got {size}; or set wavelet: false"]
    return []
