"""What a dataset allows to be done to its training images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from meddiff.config.schema.strict import Range, Strict


class Augmentation(Strict):
    """Random changes of training images, each image with draws of its own; the default changes nothing."""

    hflip: float = Field(default=0.0, ge=0, le=1, description="probability of a left-right flip")
    vflip: float = Field(default=0.0, ge=0, le=1, description="probability of a top-bottom flip")
    rotation: float = Field(default=0.0, ge=0, le=180, description="largest angle to either side, degrees")
    shift: float = Field(default=0.0, ge=0, le=0.5, description="largest shift, as a share of the side")
    scale: float = Field(default=0.0, ge=0, lt=1, description="largest relative change of size")
    blur_sigma: Range | None = Field(
        default=None, description="range of the Gaussian blur's sigma in pixels (5 x 5 kernel)"
    )
    fill: Literal["reflect", "black"] = Field(
        default="reflect", description="what comes in at the edges of a moved image"
    )

    @field_validator("blur_sigma")
    @classmethod
    def _is_a_range(cls, sigma: tuple[float, float] | None) -> tuple[float, float] | None:
        if sigma is not None and not 0 < sigma[0] <= sigma[1] <= 100:
            raise ValueError(f"expected 0 < low <= high <= 100, got {sigma[0]} and {sigma[1]}")
        return sigma

    @property
    def only_flips(self) -> bool:
        """Whether pixels are at most exchanged, so that no value changes."""
        return not (self.rotation or self.shift or self.scale or self.blur_sigma)

    def in_words(self) -> str:
        """What is changed, in a few words for a caption."""
        words = [
            name
            for name, value in (("left-right flips", self.hflip), ("top-bottom flips", self.vflip))
            if value
        ]
        words += [f"rotation by up to {self.rotation:g} degrees"] if self.rotation else []
        words += [f"shifts by up to {100 * self.shift:g} %"] if self.shift else []
        words += [f"scaling by up to {100 * self.scale:g} %"] if self.scale else []
        words += ["blur"] if self.blur_sigma else []
        return ", ".join(words) or "nothing"


def differences_in_words(models: Mapping[str, Augmentation | None]) -> str | None:
    """How the training images of `models` (name -> augmentation) are changed; None where all are alike."""
    groups: dict[str, list[str]] = {}
    for name, augmentation in models.items():
        words = augmentation.in_words() if augmentation else "nothing"
        groups.setdefault(words, []).append(name)
    if len(groups) < 2:
        return None
    return "; ".join(f"{', '.join(names)}: {words}" for words, names in groups.items())


class Augmentations(Strict):
    """The augmentation of each preset, used by models that say ``augment: true``."""

    fixed: Augmentation = Augmentation()
    official: Augmentation = Augmentation()
