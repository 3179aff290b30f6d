"""How a trained model is used on images that are in no dataset: what its weights do not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeInt

from meddiff.config.schema.data.intensity import Conversion, Intensity
from meddiff.config.schema.dataset import Bits, Decoding
from meddiff.config.schema.deciding import DecideParams
from meddiff.config.schema.experiment import ALL_STEPS, NoiseLevels, StoppingConfig
from meddiff.config.schema.operating_point import YOUDEN, OperatingPoint
from meddiff.config.schema.strict import Name, Seed, Side, Steps, Strict, Title

if TYPE_CHECKING:
    from meddiff.readout.calibration import Calibration
    from meddiff.readout.ood import Limits
    from meddiff.readout.profile import ErrorProfile

# Where a run scored all steps: the rule that the manual has as its example (config/README.md, stopping).
_SEQUENTIAL_DELTA = 0.01
_BY_MEAN_ERROR = ("mean", "t_score")


class Pixels(Strict):
    """What images are made into, as the store of the model's dataset was made.

    Attributes are those of `meddiff.data.decoding.pixels.PixelFormat`, and `convert` of a dataset's file.
    """

    size: Side
    channels: Literal[1, 3]
    geometry: Literal["squash", "crop"] = "squash"
    bits: Bits | None = None
    decoding: Decoding = "full"
    intensity: Intensity | None = None
    convert: Annotated[tuple[Conversion, ...], Field(strict=False)] = ()


class Scoring(Strict):
    """How a diffusion model is asked; see `meddiff.scoring.settings.ScoringSettings`."""

    seed: Seed
    steps: Steps
    noise_levels: NoiseLevels = "uniform"
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    stopping: StoppingConfig = ALL_STEPS


class Editing(Strict):
    """How counterfactuals are made; see `meddiff.diffusion.sample.Sampling`.

    The defaults are those of an experiment's `counterfactuals`.
    """

    from_t: float = Field(default=0.5, gt=0, le=1)
    cfg_scale: float = Field(default=5.5, gt=0)
    sampling_steps: Steps = 256
    sampler: Literal["ancestral", "ddim"] = "ancestral"
    extra_last_step: bool = False
    seed: Seed = 0
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"


class Usage(Strict):
    """All that is needed beside the weights, but for what was fitted on validation images.

    Attributes:
        title: of the model.
        dataset: name of the dataset that it was trained on.
        class_names: in the order of the class index; the same as in the weights' configuration.
        pixels: what images are made into.
        scoring: None of a baseline, which answers at once.
        editing: how counterfactuals are made.
        decisions: decision rules that the run used, the first one by default.
        deciding: prevalence, and what is promised of images that are decided.
        operating_point: of two classes, how it is chosen where an image is called positive.
        seed: of the training.
    """

    title: Title
    dataset: Title  # that of a fold is no name of a file
    class_names: list[Title] = Field(min_length=2)
    pixels: Pixels
    scoring: Scoring | None
    editing: Editing = Editing()
    decisions: list[Name] = Field(min_length=1)
    deciding: DecideParams = DecideParams()
    operating_point: OperatingPoint = YOUDEN
    seed: NonNegativeInt = 0

    def stopping(self, decision: str, all_steps: bool) -> StoppingConfig:
        """When the classification of an image stops.

        Args:
            decision: the decision rule.
            all_steps: whether it never does.

        Returns:
            What the run did where it stopped early; else a sequential rule for the decision.
        """
        if self.scoring is None or all_steps:
            return ALL_STEPS
        if self.scoring.stopping.kind != "none":
            return self.scoring.stopping
        kept: dict[str, Any] = {"decision": "mean" if decision in _BY_MEAN_ERROR else "majority"}
        return StoppingConfig(kind="sequential", delta=_SEQUENTIAL_DELTA, **kept)

    @property
    def stopped_early(self) -> bool:
        """Whether the run did."""
        return self.scoring is not None and self.scoring.stopping.kind != "none"


@dataclass(frozen=True)
class Fitted:
    """What was fitted on the validation images, as they were scored.

    Attributes:
        calibration: of probabilities, with the margins of validation images; None: none are made.
        profile: of a diffusion model's errors; None: there is none.
        limits: kind -> what is usual of the scores that say how unlike the training data an image is.
        threshold: of two classes, the score of the last less that of the first from which an image is called
            positive (the operating point); None: there is none.
    """

    calibration: Calibration | None = None
    profile: ErrorProfile | None = None
    limits: Limits | None = None
    threshold: float | None = None
