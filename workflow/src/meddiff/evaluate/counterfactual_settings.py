"""What the ``--params`` of the commands about counterfactuals may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meddiff.artifacts.settings import Layout, Line
from meddiff.config.schema.figure import FigureStyle
from meddiff.evaluate.settings import Resampling
from meddiff.runs import TrainedRun


class MeasureSettings(TrainedRun, Resampling):
    """Params of ``measure``."""

    phantom: Literal["chexpert", "isic"] | None = Field(
        default=None, description="layout of a generated dataset, whose lesions are known"
    )
    mask_margin: int = Field(ge=0, description="pixels that the lesion mask is widened by")
    examples: int = Field(ge=1, description="images of each class to show")


class TitledLayout(Layout):
    """A layout with what is said about how counterfactuals were made and judged."""

    classes: dict[str, list[Line]] = Field(description="dataset -> names in order of the class index")
    oracle: Line | None = Field(description="title of the baseline that classifies counterfactuals too")

    def direction(self, dataset: str, source: int, target: int) -> str:
        """``source → target`` by name."""
        names = self.classes[dataset]
        return f"{names[source]} → {names[target]}"


class CounterfactualTableSettings(TitledLayout):
    """Params of ``table --kind counterfactuals``."""

    confidence: float = Field(gt=0, lt=1, description="of the intervals in the metrics files")
    features: Line | None = Field(description="what the feature distances are made with")
    mask_margin: int
    made: dict[str, str] = Field(description="model -> how its counterfactuals were made")


class CounterfactualFigureSettings(TitledLayout):
    """Params of ``figure --kind counterfactuals``; its height is that of one row of images."""

    style: FigureStyle


class FrontSettings(TitledLayout):
    """Params of ``figure --kind counterfactual_front``."""

    confidence: float = Field(gt=0, lt=1)
    style: FigureStyle
