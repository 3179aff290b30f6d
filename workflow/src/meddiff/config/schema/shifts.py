"""What the experiment's ``shifts`` block may say."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, field_validator

from meddiff.config.schema.strict import Seed, Steps, Strict

ShiftKind = Literal[
    "inverted",
    "rotated",
    "upside_down",
    "blurred",
    "noisy",
    "half_contrast",
    "phantom",
    "other_datasets",
]


class ShiftsConfig(Strict):
    """Images unlike the training data, on which scores of being so are tried (table and figure `ood`)."""

    kinds: list[ShiftKind] = Field(
        default=[*get_args(ShiftKind)],
        min_length=1,
        description="the first six change test images (`meddiff/data/shifts.py` says how much); phantoms are "
        "drawn, but not for a dataset that is one; other datasets are those of the experiment",
    )
    images: int = Field(
        default=60, ge=2, le=100_000, description="test images of a dataset that are changed, of each kind"
    )
    seed: Seed = Field(default=0, description="of the draw of images, and of random changes")
    steps: Steps | None = Field(
        default=None, description="classification steps of each; those of `score` if not given"
    )

    def kinds_for(self, phantom: bool, others: int) -> list[ShiftKind]:
        """The kinds that a dataset has, which may be a phantom, beside so many others of the experiment."""
        impossible = {"phantom"} if phantom else set()
        impossible |= set() if others else {"other_datasets"}
        return [kind for kind in self.kinds if kind not in impossible]

    @field_validator("kinds")
    @classmethod
    def _no_repetition(cls, values: list) -> list:
        if len(set(values)) != len(values):
            raise ValueError(f"every entry must appear once, got {values}")
        return values
