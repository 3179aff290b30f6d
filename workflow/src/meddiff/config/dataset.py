"""What ``config/datasets/<name>.yaml`` may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from meddiff.config.audit import AuditConfig
from meddiff.config.augmentation import Augmentations
from meddiff.config.strict import Strict

Label = int | str
Bits = Annotated[int, Field(ge=8, le=16)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PhantomSource(Strict):
    """Images that the workflow generates, in the on-disk layout of the dataset they imitate."""

    kind: Literal["phantom"]
    images: int = Field(ge=30, le=60_000, description="number of usable images over all classes")
    seed: int = Field(default=0, ge=0)
    native_size: int = Field(
        default=48, ge=16, description="height of the generated files in pixels; they are a little wider"
    )
    difficulty: tuple[float, float] = Field(
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
    file_id: str = Field(pattern=r"^[\w-]+$", description="of the archive on Google Drive")
    folder: str = Field(
        pattern=r"^[\w-]+(\.[\w-]+)*$",
        description="name of the dataset's folder in the archive, at whatever depth",
    )
    sha256: Sha256 | None = Field(
        default=None, description="of the archive; recorded at the first download where not given"
    )


class CheXpertFormat(Strict):
    """CheXpert's folder tree and 14-label CSV; positive is effusion, negative is no finding."""

    kind: Literal["chexpert"]
    csv: str = "CheXpert-v1.0-small/train.csv"
    positive: str = "Pleural Effusion"
    negative: str = "No Finding"


class ISICFormat(Strict):
    """One folder of JPEG images and a CSV with `image_name` and `target`."""

    kind: Literal["isic"]
    csv: str = "metadata.csv"
    image_dir: str = "images"


class TableFormat(Strict):
    """Any image folder with a CSV: one row an image, a label column, optionally a group column."""

    kind: Literal["table"]
    csv: str
    image_column: str
    label_column: str
    group_column: str | None = Field(default=None, description="patient or lesion; splits keep it together")
    image_dir: str = "."


class ClassConfig(Strict):
    """One class: the value in the label column, and the name shown in tables."""

    value: Label
    name: str
    prompt: str | None = Field(
        default=None, description="what a text-to-image model is told; the class's name where not given"
    )


class RecipeSplit(Strict):
    """Grouped, stratified random splits made by the workflow."""

    kind: Literal["recipe"] = "recipe"
    valid: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.15, gt=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _leaves_training_images(self) -> RecipeSplit:
        if self.valid + self.test >= 1:
            raise ValueError(f"valid ({self.valid}) + test ({self.test}) must leave a share for training")
        return self


class GivenSplit(Strict):
    """Three CSV files with a column `image_id` (paths relative to the repository root)."""

    kind: Literal["files"]
    train: str
    valid: str
    test: str


class OfficialFile(Strict):
    """One published split file."""

    name: str = Field(pattern=r"^[\w-]+\.csv$")
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


Source = Annotated[PhantomSource | LocalSource | PackageSource, Field(discriminator="kind")]
Format = Annotated[CheXpertFormat | ISICFormat | TableFormat, Field(discriminator="kind")]
Split = Annotated[RecipeSplit | GivenSplit | OfficialSplit, Field(discriminator="kind")]


class DatasetConfig(Strict):
    """One dataset. Class index = position in `classes`; the last one of two is the positive class."""

    title: str
    source: Source
    format: Format
    classes: list[ClassConfig] = Field(min_length=2)
    image_size: int = Field(ge=8, description="side in pixels that images are resized to")
    channels: Literal[1, 3] = 3
    bits: Bits | None = Field(
        default=None, description="significant bits of 16-bit grey images: white is 2^bits - 1; default 16"
    )
    augmentation: Augmentations = Augmentations()
    split: Split
    sizes: dict[Literal["train", "valid", "test"], int] | None = Field(
        default=None, description="images of each split, for `plan` to know them before the data is there"
    )
    audit: AuditConfig | None = Field(default=None, description="strata for the audit of shortcuts")

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> DatasetConfig:
        for attribute in ("value", "name"):
            values = [str(getattr(c, attribute)) for c in self.classes]
            if len(set(values)) != len(values):
                raise ValueError(f"classes: every {attribute} must be different, got {values}")
        if self.sizes is not None and len(self.sizes) != 3:
            raise ValueError(f"sizes: expected train, valid and test, got {', '.join(self.sizes)}")
        if self.source.kind == "phantom" and self.format.kind == "table":
            raise ValueError("format: a phantom is generated in the layout of 'chexpert' or 'isic'")
        return self
