"""What the ``--params`` of the evaluation commands may say, checked before any file is read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from meddiff.artifacts.settings import DecidedLayout, Line, ScoredLayout
from meddiff.config.schema.figure import FigureStyle
from meddiff.config.schema.strict import Strict
from meddiff.errors import ConfigError
from meddiff.runs import Decision, Run, TrainedRun

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R", bound="TrainedRun")


class Resampling(Strict):
    """How intervals are made that need resamples."""

    bootstrap_samples: int = Field(ge=1)
    confidence: float = Field(gt=0, lt=1)
    bootstrap_seed: int


class MetricsSettings(Run, Resampling):
    """Params of ``metrics``."""


class PublishedScores(Strict):
    """The paper's values for one model; of a diffusion model by majority vote."""

    accuracy: float = Field(ge=0, le=100, description="percent")
    f1: float = Field(ge=0, le=1, description="fraction, as the paper prints it")
    split: Literal["test", "valid"] = Field(
        default="test", description="whose images they are of; values of other images are not compared"
    )


class ClassificationSettings(DecidedLayout):
    """Params of ``table --kind classification``.

    Attributes:
        published: dataset -> model -> scores.
        other_splits: datasets whose splits are not the published ones.
        augmentation: dataset -> how training images of its models are changed, where not alike.
    """

    published: dict[str, dict[str, PublishedScores]] | None = None
    other_splits: list[str] = Field(default_factory=list)
    augmentation: dict[str, Line] = Field(default_factory=dict)
    classes: dict[str, list[Line]] = Field(
        default_factory=dict, description="dataset -> names in order of the class index, for the caption"
    )
    confidence: float = Field(gt=0, lt=1, description="of the intervals in the metrics files")


class ComparisonSettings(DecidedLayout):
    """Params of ``table --kind comparison``."""

    confidence: float = Field(gt=0, lt=1)


class OverviewSettings(DecidedLayout):
    """Params of ``table --kind metrics``; `classes` as for ``classification``."""

    classes: dict[str, list[Line]] = Field(default_factory=dict)


class AuditEntry(Strict):
    """What the audit of one dataset shows."""

    title: Line = Field(description="what tells the strata apart")
    strata: list[str] = Field(description="in the order shown; if empty, as they come in the file")
    subset: str | None
    classes: list[Line] = Field(min_length=2, description="names in order of the class index")


class AuditSettings(DecidedLayout, Resampling):
    """Params of ``table --kind audit``; `audits` has an entry for each of `datasets`."""

    audits: dict[str, AuditEntry]

    @model_validator(mode="after")
    def _every_dataset_has_an_entry(self) -> AuditSettings:
        if set(self.audits) != set(self.dataset_titles()):
            raise ValueError(f"audits: {sorted(self.audits)}, but datasets: {sorted(self.dataset_titles())}")
        return self


class AuditFigureSettings(DecidedLayout):
    """Params of ``figure --kind audit``."""

    confidence: float = Field(gt=0, lt=1, description="of the intervals in the table")
    style: FigureStyle = FigureStyle()


class CurvesSettings(DecidedLayout):
    """Params of ``table --kind published``."""

    confidence: float = Field(gt=0, lt=1, description="of the intervals in the figures' data")


class PublishedSteps(Strict):
    """Published step ablation: dataset -> model -> decision -> accuracies (percent) at `steps`."""

    steps: list[int]
    datasets: dict[str, dict[str, dict[Literal["majority", "mean"], list[float]]]]

    @model_validator(mode="after")
    def _lengths_agree(self) -> PublishedSteps:
        for models in self.datasets.values():
            for model, decisions in models.items():
                for decision, values in decisions.items():
                    _same_length(f"{model}.{decision}", values, "steps", self.steps)
        return self


class PublishedRemoval(Strict):
    """Published uncertainty curves: dataset -> model -> accuracies (percent) at `removed_percent`."""

    removed_percent: list[float]
    datasets: dict[str, dict[str, list[float]]]
    validation: dict[str, list[str]] = Field(
        default_factory=dict, description="dataset -> models whose curve is of the validation images"
    )

    @model_validator(mode="after")
    def _lengths_agree(self) -> PublishedRemoval:
        for models in self.datasets.values():
            for model, values in models.items():
                _same_length(model, values, "removed_percent", self.removed_percent)
        return self


class StepAblationSettings(ScoredLayout):
    """Params of ``figure --kind step_ablation``."""

    confidence: float = Field(gt=0, lt=1)
    steps: list[int] = Field(min_length=1)
    style: FigureStyle = FigureStyle()
    published: PublishedSteps | None = None


class EfficiencySettings(ScoredLayout, Resampling):
    """Params of ``table --kind efficiency``."""

    steps: list[int] = Field(min_length=1, description="numbers of steps of runs without a stopping rule")
    deltas: list[float] = Field(min_length=1, description="of the sequential rules")
    weights: bool = Field(default=False, description="whether weights are fitted on validation errors")
    variants: list[str] = Field(default_factory=list, description="other noise levels that were scored")


class EfficiencyFigureSettings(ScoredLayout):
    """Params of ``figure --kind efficiency``."""

    confidence: float = Field(gt=0, lt=1, description="of the intervals in the table")
    style: FigureStyle = FigureStyle()


class UncertaintySettings(DecidedLayout, Resampling):
    """Params of ``figure --kind uncertainty``; `uncertainty` names the column for each decision."""

    uncertainty: dict[Decision, str] = Field(
        default={"majority": "vote_entropy", "mean": "softmax_entropy", "softmax": "softmax_entropy"}
    )
    style: FigureStyle = FigureStyle()
    published: PublishedRemoval | None = None

    @model_validator(mode="after")
    def _every_decision_has_one(self) -> UncertaintySettings:
        missing = {run.decision for run in self.runs} - set(self.uncertainty)
        if missing:
            raise ValueError(f"uncertainty: missing for decision {sorted(missing)}")
        return self


class MethodSettings(Strict):
    """Params of ``figure --kind method``."""

    wavelet: bool = Field(description="whether the model works on Haar coefficients")
    seed: int = Field(default=0, ge=0, description="of the noise in the pictures")
    style: FigureStyle = FigureStyle()


def parse_params(model: type[M], text: str) -> M:
    """Read the JSON string of ``--params``.

    Raises:
        ConfigError: naming the key, for anything unknown, missing or impossible.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        lines = [
            f"--params: {'.'.join(map(str, e['loc'])) or '(top level)'}: {e['msg']}" for e in error.errors()
        ]
        raise ConfigError("\n".join(lines)) from error


def pair_files(runs: list[R], paths: list[Path], option: str) -> list[tuple[R, Path]]:
    """Each run with its file; files are given in the order of the runs.

    Raises:
        ConfigError: if their numbers differ.
    """
    if len(runs) != len(paths):
        raise ConfigError(
            f"{option}: got {len(paths)} files for {len(runs)} runs; give one a run, in their order"
        )
    return list(zip(runs, paths, strict=True))


def _same_length(what: str, values: list[float], axis: str, positions: list) -> None:
    if len(values) != len(positions):
        raise ValueError(f"{what}: {len(values)} values for {len(positions)} {axis}")
