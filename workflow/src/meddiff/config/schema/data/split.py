"""Which images train, which validate and which test: ``split:``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from meddiff.config.schema.data.classes import Label
from meddiff.config.schema.strict import Column, FilePath, Seed, Sha256, Strict


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


class FoldsSplit(Strict):
    """Grouped, stratified folds: every image is in the test split of exactly one of them.

    An experiment with such a dataset has one dataset a fold (`meddiff.config.datasets.folds`).
    """

    kind: Literal["folds"]
    folds: int = Field(default=5, ge=2, le=100)
    valid: float = Field(default=0.15, gt=0, lt=1, description="share of all images that validates a fold")
    seed: Seed = 0
    fold: int | None = Field(
        default=None,
        ge=1,
        exclude_if=lambda fold: fold is None,
        description="one of them alone, counted from 1; all where not given",
    )

    @model_validator(mode="after")
    def _folds_are_possible(self) -> FoldsSplit:
        if self.train <= 1e-9:
            raise ValueError(
                f"valid ({self.valid}) must leave a share for training of the {1 - self.test:.3g} of the "
                "images that a fold does not test"
            )
        if self.fold is not None and self.fold > self.folds:
            raise ValueError(f"fold: expected a number from 1 to {self.folds} (folds), got {self.fold}")
        return self

    @property
    def test(self) -> float:
        """Share of the images that test a fold."""
        return 1 / self.folds

    @property
    def train(self) -> float:
        """Share of the images that train a fold."""
        return 1 - self.test - self.valid


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


Values = Annotated[list[Label], Field(min_length=1)]


class ColumnSplit(Strict):
    """A column of the dataset's table says which split a row is of, such as one made by `lists`.

    Rows with another cell are in no split, and are left out.
    """

    kind: Literal["column"]
    column: Column
    train: Values = Field(description="cells of training rows")
    valid: Values | Annotated[float, Field(gt=0, lt=1)] = Field(
        description="cells of validation rows; or the share of the training rows that is drawn for validation"
    )
    test: Values = Field(description="cells of test rows")
    seed: Seed = Field(default=0, description="of the draw, where `valid` is a share")
    published: bool = Field(
        default=False,
        description="somebody else's split, taken as it is: what its parts share is reported, and no error",
    )

    @model_validator(mode="after")
    def _cells_are_of_one_split(self) -> ColumnSplit:
        valid = self.valid if isinstance(self.valid, list) else []
        cells = [str(cell) for cell in (*self.train, *valid, *self.test)]
        if twice := sorted({cell for cell in cells if cells.count(cell) > 1}):
            raise ValueError(f"{', '.join(twice)}: every cell must be of one split")
        return self


class ArraysSplit(Strict):
    """The splits of the file of a dataset whose format is `arrays`: its train, val and test arrays.

    As published splits they are taken as they are.
    """

    kind: Literal["arrays"]


Split = Annotated[
    RecipeSplit | FoldsSplit | GivenSplit | ColumnSplit | OfficialSplit | ArraysSplit,
    Field(discriminator="kind"),
]
# What is drawn by the workflow, each with `seed`, and `valid` and `test`: shares of all images.
DRAWN = (RecipeSplit, FoldsSplit)


def is_published(split: Split) -> bool:
    """Whether a split is somebody else's: it is what it is, and what is doubtful about it is reported."""
    return isinstance(split, OfficialSplit | ArraysSplit) or (
        isinstance(split, ColumnSplit) and split.published
    )
