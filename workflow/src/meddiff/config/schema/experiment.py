"""What ``config/experiments/<name>.yaml`` and the top-level configuration may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from meddiff.config.schema.compute import ComputeConfig
from meddiff.config.schema.counterfactual import CounterfactualConfig
from meddiff.config.schema.deciding import Prevalence, TriageConfig
from meddiff.config.schema.figure import FigureStyle
from meddiff.config.schema.operating_point import YOUDEN, OperatingPoint
from meddiff.config.schema.shifts import ShiftsConfig
from meddiff.config.schema.strict import Name, Seed, Steps, Strict, Title
from meddiff.config.schema.study import StudyConfig


def each_once(values: list) -> list:
    """`values`.

    Raises:
        ValueError: if one of them is there twice.
    """
    if len(set(values)) != len(values):
        raise ValueError(f"every entry must appear once, got {values}")
    return values


class StoppingConfig(Strict):
    """When the classification of an image stops before its last step (`meddiff.diffusion.stopping`)."""

    kind: Literal["none", "exact", "sequential"] = Field(
        default="none",
        description="all steps; until the majority cannot change; until it is unlikely to change",
    )
    decision: Literal["majority", "mean"] = Field(
        default="majority", description="the decision that is to be that of all steps"
    )
    delta: float | None = Field(
        default=None,
        gt=0,
        lt=0.5,
        description="sequential: largest probability that an image's majority differs from that of all "
        "steps, for uniform noise_levels in the order drawn; in spread order and by mean error it promises "
        "nothing",
    )
    min_steps: Steps = Field(
        default=1,
        description="no image stops before; more steps rank certain images by their certainty",
    )
    order: Literal["drawn", "spread"] = Field(
        default="drawn",
        description="of steps: as drawn, or so that every beginning covers the noise levels evenly",
    )

    @model_validator(mode="after")
    def _goes_together(self) -> StoppingConfig:
        if (self.delta is not None) != (self.kind == "sequential"):
            raise ValueError("delta is needed with `kind: sequential`, and goes with no other kind")
        if self.min_steps > 1 and self.kind == "none":
            raise ValueError("min_steps goes with a kind that stops; without one all steps are evaluated")
        if self.order != "drawn" and self.kind == "none":
            raise ValueError("`order` goes with a kind that stops; without one all steps are evaluated")
        if self.kind == "exact" and self.decision == "mean":
            raise ValueError(
                "`kind: exact` goes with `decision: majority`: errors have no bound, so the lowest mean "
                "error is never certain before the last step; use `kind: sequential` with a delta"
            )
        return self


ALL_STEPS = StoppingConfig()

# Of another dataset: its class -> the class of the models that it is.
Classes = Annotated[dict[Title, Title], Field(min_length=1)]

NoiseLevels = Literal["uniform", "low_discrepancy", "antithetic"]


class ScoreConfig(Strict):
    """How the error tensor is computed."""

    steps: Steps = Field(default=501, description="classification steps (noise levels) per image")
    seeds: list[Seed] | None = Field(
        default=None,
        min_length=1,
        description="vote seeds: of the noise that images are scored with. Each of them scores every trained "
        "diffusion model once and trains nothing; where not given there is one, the number of the "
        "training's seed",
    )
    noise_levels: NoiseLevels = "uniform"
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    shards: int = Field(default=1, ge=1, le=1000, description="jobs that the test split is divided among")
    stopping: StoppingConfig = ALL_STEPS
    evidence: bool = Field(
        default=True,
        description="keep one map an image and pair of classes of where in the image their errors differ",
    )
    decisions: list[Name] = Field(
        default=["majority", "mean", "t_score"],
        min_length=1,
        description="rules by which errors become decisions and probabilities: the paper's two, and others "
        "of `meddiff rules`",
    )
    validation: bool = Field(
        default=True,
        description="score the validation split too: probabilities, operating points and what is unlike the "
        "training data are fitted on it",
    )
    weights: bool = Field(
        default=False, description="fit weights of noise levels on the validation split, and show their use"
    )
    compare_levels: list[NoiseLevels] = Field(
        default=[], description="noise levels that the test split is scored with as well, to compare"
    )

    @field_validator("seeds", "decisions")
    @classmethod
    def _no_repetition(cls, values: list | None) -> list | None:
        return None if values is None else each_once(values)

    def vote_seeds(self, seed: int) -> list[int]:
        """The vote seeds of a model that was trained with `seed`."""
        return [seed] if self.seeds is None else self.seeds

    @model_validator(mode="after")
    def _comparisons_are_possible(self) -> ScoreConfig:
        if len({self.noise_levels, *self.compare_levels}) != 1 + len(self.compare_levels):
            raise ValueError(
                f"compare_levels: every entry must appear once, and not {self.noise_levels!r}, which is "
                f"noise_levels already; got {self.compare_levels}"
            )
        if self.weights and not self.validation:
            raise ValueError("weights are fitted on the validation split: leave out `validation: false`")
        if (self.weights or self.compare_levels) and self.stopping.kind != "none":
            raise ValueError(
                "weights and compare_levels are shown in the table and figure `efficiency`, which need "
                "errors of all steps: leave them out, or set `stopping: {kind: none}`"
            )
        return self

    @model_validator(mode="after")
    def _stopping_is_possible(self) -> ScoreConfig:
        if self.stopping.min_steps > self.steps:
            raise ValueError(
                f"stopping.min_steps: must be at most steps, {self.steps}, or no image ever stops; got "
                f"{self.stopping.min_steps}"
            )
        return self


class EvaluateConfig(Strict):
    """Statistics of tables and figures; changing these recomputes nothing on a GPU."""

    bootstrap_samples: int = Field(default=1000, ge=100, le=100_000)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: Seed = 0
    ablation_steps: list[Steps] = Field(default=[1, 3, 5, 11, 25, 51, 101, 251, 501], min_length=1)
    operating_point: OperatingPoint = Field(
        default=YOUDEN,
        description="of two classes, where an image is called positive, chosen on the validation split: the "
        "largest sensitivity + specificity (youden), or the best with a least sensitivity or specificity",
    )
    triage: TriageConfig = Field(
        default=TriageConfig(),
        description="what is promised of images that are decided without a person",
    )
    efficiency_deltas: list[Annotated[float, Field(gt=0, lt=0.5)]] = Field(
        default=[0.001, 0.01, 0.05, 0.1, 0.2],
        min_length=1,
        description="of the sequential stopping rules shown",
    )


class ExperimentConfig(Strict):
    """One experiment: which datasets and models, how they are scored and shown."""

    title: Title
    datasets: list[Name] = Field(min_length=1)
    models: list[Name] = Field(min_length=1)
    seeds: list[Seed] = Field(default=[0], min_length=1)
    test_on: dict[Name, dict[Name, Classes]] = Field(
        default={},
        description="trained on -> tested on as well -> class there -> class of the models; images of a "
        "class that is not named are left out",
    )
    weights: Literal["train", "official"] = Field(
        default="train", description="train here, or take the weights that the authors released"
    )
    preset: Literal["fixed", "official"] = "fixed"
    published: bool = Field(default=False, description="show the paper's published values beside ours")
    score: ScoreConfig = ScoreConfig()
    compute: ComputeConfig = ComputeConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    prevalence: dict[Name, Prevalence] = Field(
        default={},
        description="dataset -> class -> its share where calibrated probabilities will be used; where not "
        "given that of the validation split. One class may be left out: it has the rest",
    )
    counterfactuals: CounterfactualConfig | None = None
    shifts: ShiftsConfig | None = None
    study: StudyConfig = Field(
        default=StudyConfig(),
        description="what only the authors know, for the report's check lists (CLAIM, TRIPOD+AI)",
    )
    figures: dict[Name, FigureStyle] = Field(
        default={}, description="figure -> its looks; what is not given is as the figure's own"
    )

    @field_validator("datasets", "models", "seeds")
    @classmethod
    def _no_repetition(cls, values: list) -> list:
        return each_once(values)

    @model_validator(mode="after")
    def _shifts_are_possible(self) -> ExperimentConfig:
        if self.shifts is None:
            return self
        if not self.score.validation:
            raise ValueError(
                "shifts: what is unlike the training data is measured from the validation split: leave out "
                "`score: {validation: false}`"
            )
        steps = self.shifts.steps
        if steps is not None and steps > self.score.steps:
            raise ValueError(f"shifts.steps: must be at most score.steps, {self.score.steps}; got {steps}")
        if steps is not None and self.score.stopping.order == "spread":
            raise ValueError(
                "shifts.steps: the first steps of test images are not evaluated first in spread order; leave "
                "out shifts.steps, or score.stopping.order"
            )
        return self
