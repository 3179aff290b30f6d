"""How values of more than 8 bits become 8: ``intensity:``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from meddiff.config.schema.strict import Strict


class FullRange(Strict):
    """From black, the lowest value that the bits can hold, to white, the highest."""

    kind: Literal["full_range"]


class Percentiles(Strict):
    """From one percentile of the image's own values to another; what is beyond is black or white."""

    kind: Literal["percentile"]
    low: float = Field(default=0.5, ge=0, le=100, description="percentile that is black")
    high: float = Field(default=99.5, ge=0, le=100, description="percentile that is white")

    @model_validator(mode="after")
    def _is_a_range(self) -> Percentiles:
        if self.low >= self.high:
            raise ValueError(f"expected low < high, got {self.low} and {self.high}")
        return self


class Window(Strict):
    """The same window for all images, in the file's rescaled units; what is beyond is black or white."""

    kind: Literal["window"]
    center: float
    width: float = Field(gt=0)


class FileWindow(Strict):
    """The window or VOI lookup table of each DICOM file; the range of its values where it has none."""

    kind: Literal["dicom"]


Intensity = Annotated[FullRange | Percentiles | Window | FileWindow, Field(discriminator="kind")]
Conversion = Literal["grey_to_rgb", "rgb_to_grey", "cmyk_to_rgb", "drop_alpha"]
