"""What an experiment's file may say about the looks of a figure."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from meddiff.config.schema.strict import Strict

# An image of this many pixels takes 800 MB while it is drawn.
_MOST_PIXELS = 200_000_000


class FigureStyle(Strict):
    """Looks of one figure. Each figure has its own, so a change redraws that figure only."""

    width: float = Field(default=6.4, gt=1, le=100, description="inches")
    height: float = Field(default=4.0, gt=1, le=100, description="inches")
    colors: list[str] = Field(
        default=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"],
        min_length=1,
        max_length=100,
        description="colour cycle; the default is Okabe and Ito's, safe for the colour-blind",
    )
    dpi: int = Field(default=150, ge=50, le=2400)

    @field_validator("colors")
    @classmethod
    def _are_colours(cls, colors: list[str]) -> list[str]:
        # Only where somebody has chosen some: defaults are not checked, and matplotlib takes its time.
        from matplotlib.colors import is_color_like

        if wrong := [color for color in colors if not is_color_like(color) or color.lower() == "none"]:
            raise ValueError(
                f"{wrong[0]!r} is no colour; expected a name that matplotlib knows, such as 'tab:blue', or "
                "red, green and blue as '#0072B2', in quotes"
            )
        return colors

    @model_validator(mode="after")
    def _can_be_drawn(self) -> FigureStyle:
        if self.width * self.height * self.dpi**2 > _MOST_PIXELS:
            raise ValueError(
                f"{self.width:g} x {self.height:g} inches at {self.dpi} dpi are more than {_MOST_PIXELS} "
                "pixels; make it smaller"
            )
        return self
