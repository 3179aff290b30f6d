"""What the explorer shows, and the files that it is made from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meddiff.config.schema.strict import Strict


class ShownRun(Strict):
    """One table of predictions."""

    model: str
    title: str = Field(description="of the model")
    family: Literal["cnn", "transformer", "diffusion"]
    decision: str
    predictions: str = Field(description="path of the table")


class ShownErrors(Strict):
    """What a diffusion model is decided by. Files that a restored clone lacks are left out."""

    model: str
    title: str
    size: int = Field(description="side of its images in pixels")
    wavelet: bool | None = Field(description="whether it works on Haar coefficients; None in a latent space")
    errors: str
    evidence: str | None = Field(default=None, description="None where no maps are made")
    counterfactuals: str | None = Field(default=None, description="table of its edited images")
    images: str | None = Field(default=None, description="folder of these")


class ShownStrata(Strict):
    """The strata of a dataset."""

    title: str
    path: str


class ShownDataset(Strict):
    """The test images of a dataset, or those of another one before models of it."""

    name: str
    title: str
    classes: list[str] = Field(min_length=2, description="names in order of the class index")
    stores: dict[str, str] = Field(description="side in pixels -> folder of the images")
    strata: ShownStrata | None = None
    runs: list[ShownRun] = Field(min_length=1)
    scored: list[ShownErrors] = Field(default_factory=list)


class CaseSettings(Strict):
    """All that the explorer's data depend on beside the content of files."""

    datasets: list[ShownDataset] = Field(min_length=1)
    most_details: int = Field(
        ge=0, description="test images of a dataset that are shown with all details; others with decisions"
    )
