"""What splits may have in common: ``leaks:``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from meddiff.config.schema.strict import Column, FilePath, NotBool, Strict

Policy = Literal["error", "report", "move_to_train"]
ALIKE_BITS = 24  # see `meddiff.data.leaks.looks`, which measured it


class LeakGroupsConfig(Strict):
    """A CSV file of the user's that says which images belong together. It moves nothing."""

    csv: FilePath = Field(description="relative to the repository, or absolute")
    id_column: Column = Field(default="image_id", description="image ids, or file names of these")
    columns: list[Column] = Field(
        min_length=1, max_length=20, description="images of one value are of one patient, lesion, device ..."
    )
    by: Column | None = Field(
        default=None, description="another column, by whose values images are counted, too: archive, site ..."
    )


class LeaksConfig(Strict):
    """What is done about images that two splits share. Published splits are only reported on."""

    duplicates: Policy = Field(default="error", description="images of equal pixels, however they are saved")
    look_alikes: Policy = Field(
        default="report", description="images whose perceptual hashes differ in few bits"
    )
    bits: Annotated[int, NotBool] = Field(
        default=ALIKE_BITS, ge=0, le=64, description="of 255 in which the hashes of look-alikes may differ"
    )
    groups: LeakGroupsConfig | None = None

    @property
    def moves(self) -> bool:
        """Whether images are moved to the training split."""
        return "move_to_train" in (self.duplicates, self.look_alikes)

    def what_moves(self) -> dict[str, Any]:
        """The keys that decide which images are moved, and no others: splits depend on these only."""
        moving = [kind for kind in ("duplicates", "look_alikes") if getattr(self, kind) == "move_to_train"]
        return self.model_dump(mode="json", include={*moving, *(["bits"] if "look_alikes" in moving else [])})
