"""What ``config/datasets/<name>.yaml`` may say."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from meddiff.config.schema.audit import AuditConfig, ColumnValue
from meddiff.config.schema.augmentation import Augmentations
from meddiff.config.schema.strict import (
    Column,
    FilePath,
    InnerPath,
    NotBool,
    Prompt,
    Range,
    Seed,
    Side,
    Strict,
    Title,
)

Label = int | Annotated[str, Field(min_length=1, max_length=500)]
Bits = Annotated[int, Field(ge=8, le=16)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PhantomSource(Strict):
    """Images that the workflow generates, in the on-disk layout of the dataset they imitate."""

    kind: Literal["phantom"]
    images: int = Field(ge=30, le=60_000, description="number of usable images over all classes")
    seed: Seed = 0
    native_size: int = Field(
        default=48,
        ge=16,
        le=4096,
        description="height of the generated files in pixels; they are a little wider",
    )
    difficulty: Range = Field(
        default=(0.0, 1.0), description="range of the per-image difficulty, 0 plain to 1 barely visible"
    )
    shortcut: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of images whose planted cue agrees with the label (0.5 tells nothing); 0 = no cue",
    )

    @model_validator(mode="after")
    def _difficulty_is_a_range(self) -> PhantomSource:
        low, high = self.difficulty
        if not 0 <= low <= high <= 1:
            raise ValueError(f"difficulty: expected 0 <= low <= high <= 1, got {low} and {high}")
        return self


class LocalSource(Strict):
    """A folder the user already has.

    Its path is not configuration: it comes from ``--config root_<dataset>=PATH`` or the environment
    variable ``MEDDIFF_ROOT_<DATASET>``, and is ``data/<dataset>/local`` where neither is given.
    """

    kind: Literal["local"]


class PackageSource(Strict):
    """A zip archive on Google Drive, shared by all datasets that name its file id.

    A folder given by ``--config root_<dataset>=PATH`` or ``MEDDIFF_ROOT_<DATASET>`` is used in its place, and
    then nothing is downloaded.
    """

    kind: Literal["package"]
    file_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,200}$", description="of the archive on Google Drive")
    folder: str = Field(
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
        max_length=200,
        description="name of the dataset's folder in the archive, at whatever depth",
    )
    sha256: Sha256 | None = Field(
        default=None, description="of the archive; recorded at the first download where not given"
    )


class CheXpertFormat(Strict):
    """CheXpert's folder tree and 14-label CSV; positive is effusion, negative is no finding."""

    kind: Literal["chexpert"]
    csv: InnerPath = "CheXpert-v1.0-small/train.csv"
    positive: Column = "Pleural Effusion"
    negative: Column = "No Finding"


class ISICFormat(Strict):
    """One folder of JPEG images and a CSV with `image_name` and `target`."""

    kind: Literal["isic"]
    csv: InnerPath = "metadata.csv"
    image_dir: InnerPath = "images"


class TableFormat(Strict):
    """Any image folder with a CSV: one row an image, a label column, optionally a group column."""

    kind: Literal["table"]
    csv: InnerPath
    image_column: Column
    label_column: Column
    group_column: Column | None = Field(
        default=None, description="patient or lesion; splits keep it together"
    )
    image_dir: InnerPath = "."


class ClassConfig(Strict):
    """One class: the value in the label column, and the name shown in tables."""

    value: Label
    name: Title
    prompt: Prompt | None = Field(
        default=None, description="what a text-to-image model is told; the class's name where not given"
    )


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


class ParticipantsConfig(Strict):
    """Columns of a CSV file in the dataset's folder that describe an image and the person in it."""

    age: Column | None = Field(default=None, description="in years")
    sex: Column | None = None
    view: Column | None = Field(default=None, description="of the image, such as AP or PA")
    csv: InnerPath | None = Field(
        default=None, description="relative to the dataset's folder; the format's where not given"
    )
    id_column: Column | None = Field(
        default=None, description="column with image ids or file names; given together with `csv`"
    )

    @model_validator(mode="after")
    def _says_something(self) -> ParticipantsConfig:
        if not self.columns():
            raise ValueError("name a column of age, sex or view, or leave the key out")
        return self

    def columns(self) -> dict[str, ColumnValue]:
        """What -> column, of those that are named."""
        named = {"age": self.age, "sex": self.sex, "view": self.view}
        return {
            what: ColumnValue(kind="column", column=column, csv=self.csv, id_column=self.id_column)
            for what, column in named.items()
            if column is not None
        }


Source = Annotated[PhantomSource | LocalSource | PackageSource, Field(discriminator="kind")]
Format = Annotated[CheXpertFormat | ISICFormat | TableFormat, Field(discriminator="kind")]
Split = Annotated[RecipeSplit | GivenSplit | OfficialSplit, Field(discriminator="kind")]


def _as_label(value: Label) -> float | str:
    """What a label column holds: there 1, 1.0 and "1" are one label."""
    text = str(value).strip()
    return float(text) if re.fullmatch(r"[-+]?\d{1,300}(\.\d*)?", text) else text


class DatasetConfig(Strict):
    """One dataset. Class index = position in `classes`; the last one of two is the positive class."""

    title: Title
    source: Source
    format: Format
    classes: list[ClassConfig] = Field(min_length=2, max_length=1000)
    image_size: Side = Field(description="side in pixels that images are resized to")
    channels: Annotated[Literal[1, 3], NotBool] = 3
    bits: Bits | None = Field(
        default=None, description="significant bits of 16-bit grey images: white is 2^bits - 1; default 16"
    )
    augmentation: Augmentations = Augmentations()
    split: Split
    sizes: dict[Literal["train", "valid", "test"], Annotated[int, Field(ge=1, le=10**9)]] | None = Field(
        default=None, description="images of each split, for `plan` to know them before the data is there"
    )
    audit: AuditConfig | None = Field(default=None, description="strata for the audit of shortcuts")
    participants: ParticipantsConfig | None = Field(
        default=None, description="columns that describe the people in the images, for the table of them"
    )

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> DatasetConfig:
        for attribute, same in (("value", _as_label), ("name", str.casefold)):
            values = [getattr(c, attribute) for c in self.classes]
            if len({same(value) for value in values}) != len(values):
                raise ValueError(f"classes: every {attribute} must be different, got {values}")
        if self.sizes is not None and len(self.sizes) != 3:
            raise ValueError(f"sizes: expected train, valid and test, got {', '.join(self.sizes)}")
        if self.source.kind == "phantom" and self.format.kind == "table":
            raise ValueError("format: a phantom is generated in the layout of 'chexpert' or 'isic'")
        return self
