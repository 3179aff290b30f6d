"""What a dataset says about a possible shortcut in its images: the ``audit:`` of its file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from meddiff.config.schema.strict import Column, Extraction, InnerPath, Strict, Title

ALL_IMAGES = "all"  # stands for every stratum together in tables, so no stratum has this name


class ImageIdValue(Strict):
    """A part of the image id."""

    kind: Literal["image_id"]
    pattern: Extraction = Field(
        description="regular expression that matches every image id as a whole; its one group is the value"
    )


class ColumnValue(Strict):
    """A column of a CSV file in the dataset's folder."""

    kind: Literal["column"]
    column: Column
    csv: InnerPath | None = Field(
        default=None, description="relative to the dataset's folder; the format's where not given"
    )
    id_column: Column | None = Field(
        default=None, description="column with image ids or file names; given together with `csv`"
    )

    @model_validator(mode="after")
    def _another_file_says_which_image(self) -> ColumnValue:
        if (self.csv is None) != (self.id_column is None):
            raise ValueError("give csv and id_column together, or neither for the format's own CSV")
        return self


class Stratum(Strict):
    """Images that have something in common; without `below` and `values` it takes all that is left."""

    name: Title
    below: float | None = Field(
        default=None, description="takes numbers smaller than this; what is no number is an error"
    )
    values: list[int | str] | None = Field(default=None, min_length=1, description="takes these values")

    @model_validator(mode="after")
    def _one_condition(self) -> Stratum:
        if self.below is not None and self.values is not None:
            raise ValueError("give below or values, not both")
        if self.name == ALL_IMAGES:
            raise ValueError(f"{ALL_IMAGES!r} stands for all images together; choose another name")
        return self

    @property
    def takes_the_rest(self) -> bool:
        """Whether it has no condition."""
        return self.below is None and self.values is None


class AuditConfig(Strict):
    """Divides the images into strata that may give the label away, such as the archive they are from."""

    title: Title = Field(description="what tells the strata apart, e.g. archive")
    value: Annotated[ImageIdValue | ColumnValue, Field(discriminator="kind")]
    strata: list[Stratum] = Field(
        default=[], description="an image is in the first that fits; if empty, every value is a stratum"
    )
    subset: Title | None = Field(
        default=None, description="stratum on which AUROC and balanced accuracy are shown as well"
    )

    @model_validator(mode="after")
    def _strata_can_all_be_reached(self) -> AuditConfig:
        names = [stratum.name for stratum in self.strata]
        if len(set(names)) != len(names):
            raise ValueError(f"strata: every name must be different, got {names}")
        if any(stratum.takes_the_rest for stratum in self.strata[:-1]):
            raise ValueError("strata: one without below and values takes all images left, so it must be last")
        if names and self.subset is not None and self.subset not in names:
            raise ValueError(f"subset: {self.subset!r} is not one of the strata {names}")
        return self
