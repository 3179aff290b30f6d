"""Where the images of a dataset come from: ``source:``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from meddiff.config.schema.strict import Range, Seed, Sha256, Strict


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


Source = Annotated[PhantomSource | LocalSource | PackageSource, Field(discriminator="kind")]
