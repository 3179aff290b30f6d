"""Which images train, which validate and which test: ``split:``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from meddiff.config.schema.strict import FilePath, Seed, Sha256, Strict


class RecipeSplit(Strict):
    """Grouped, stratified random splits made by the workflow."""

    kind: Literal["recipe"] = "recipe"
    valid: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.15, gt=0, lt=1)
    seed: Seed = 0

    @model_validator(mode="after")
    def _leaves_training_images(self) -> RecipeSplit:
        if self.valid + self.test >= 1:
            raise ValueError(f"valid ({self.valid}) + test ({self.test}) must leave a share for training")
        return self


class GivenSplit(Strict):
    """Three CSV files with a column `image_id` (paths relative to the repository root)."""

    kind: Literal["files"]
    train: FilePath
    valid: FilePath
    test: FilePath


class OfficialFile(Strict):
    """One published split file."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,200}\.csv$")
    sha256: Sha256


class OfficialSplit(Strict):
    """Published split files, taken row by row as they are; their checksums say which ones are meant.

    They have the columns of the dataset's own CSV. ``--config splits_<dataset>=recipe`` draws by `recipe`
    instead.
    """

    kind: Literal["official"]
    train: OfficialFile
    valid: OfficialFile
    test: OfficialFile
    url: str | None = Field(
        default=None, pattern=r"^https://.+[^/]$", description="folder on the web that has the files"
    )
    recipe: RecipeSplit = RecipeSplit()


class ArraysSplit(Strict):
    """The splits of the file of a dataset whose format is `arrays`: its train, val and test arrays.

    As published splits they are taken as they are.
    """

    kind: Literal["arrays"]


Split = Annotated[RecipeSplit | GivenSplit | OfficialSplit | ArraysSplit, Field(discriminator="kind")]
# Somebody's published splits, which are what they are: what is doubtful about them is reported.
PUBLISHED = (OfficialSplit, ArraysSplit)
