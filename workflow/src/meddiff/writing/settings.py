"""What is written about: the facts of an experiment, as its rule hands them over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from meddiff.config.schema.counterfactual import CounterfactualConfig
from meddiff.config.schema.deciding import Prevalence
from meddiff.config.schema.experiment import EvaluateConfig, ScoreConfig
from meddiff.config.schema.shifts import ShiftsConfig
from meddiff.config.schema.strict import Strict
from meddiff.config.schema.study import StudyConfig
from meddiff.text import one_line

Line = Annotated[str, AfterValidator(one_line)]


class WrittenDataset(Strict):
    """A dataset that models are trained or tested on.

    Attributes:
        source: ``phantom`` for generated images, else where they come from.
        split: the dataset's `split`, as its file says.
        leaks: its `leaks`, as its file says.
        audited: whether it names something that could give the label away.
        described: what its file says of people: ``age``, ``sex`` ...
    """

    name: str
    title: Line
    classes: list[Line]
    source: str
    image_size: int
    channels: int
    split: dict[str, Any]
    leaks: dict[str, Any]
    audited: bool
    described: list[str]


class WrittenModel(Strict):
    """A model with its settings on each dataset.

    Attributes:
        configs: dataset -> the model's file, with the dataset's own settings and the preset applied.
        runs: dataset (``joint`` for what is trained on all together) -> folders of its trained weights,
            which say how training went, where they are there.
    """

    name: str
    title: Line
    family: Literal["cnn", "transformer", "diffusion"]
    configs: dict[str, dict[str, Any]]
    runs: dict[str, list[str]]

    @property
    def folders(self) -> list[str]:
        """All folders of its trained weights."""
        return [folder for folders in self.runs.values() for folder in folders]

    def as_trained(self, records: Mapping[str, Mapping[str, Any]]) -> WrittenModel:
        """The model with the settings that its weights were made with, which were kept if these differ.

        Args:
            records: folder of weights -> what their training noted (``run.json``).
        """
        configs = dict(self.configs)
        for dataset, config in self.configs.items():
            folder = next(iter(self.runs.get(dataset, ()) or self.runs.get("joint", ())), "")
            noted = (records.get(folder, {}).get("inputs") or {}).get("params") or {}
            configs[dataset] = {**config, **(noted.get("model") or {})}
        return self.model_copy(update={"configs": configs})


class WritingSettings(Strict):
    """All that is written about an experiment, beside its tables.

    Attributes:
        name: of the folder below ``results``.
        released: whether the weights are those that the authors of the paper released.
        test_on: dataset trained on -> others that its models are tested on.
        artifacts: stems of its tables and figures, such as ``tables/leaks``.
    """

    name: str
    title: Line
    preset: Literal["fixed", "official"]
    released: bool
    seeds: list[int] = Field(min_length=1)
    datasets: list[WrittenDataset] = Field(min_length=1)
    models: list[WrittenModel] = Field(min_length=1)
    test_on: dict[str, list[str]]
    score: ScoreConfig
    evaluate: EvaluateConfig
    prevalence: dict[str, Prevalence]
    counterfactuals: CounterfactualConfig | None
    shifts: ShiftsConfig | None
    study: StudyConfig
    artifacts: list[str]

    @property
    def diffusion(self) -> list[WrittenModel]:
        """Models that classify by noise-prediction errors."""
        return [model for model in self.models if model.family == "diffusion"]

    @property
    def baselines(self) -> list[WrittenModel]:
        """Ordinary classifiers."""
        return [model for model in self.models if model.family != "diffusion"]

    @property
    def only_phantoms(self) -> bool:
        """Whether all images are generated: then there are no people, scanners or annotators."""
        return all(dataset.source == "phantom" for dataset in self.datasets)

    def title_of(self, name: str) -> str:
        """The title of a dataset or a model; the name itself where there is none of it."""
        return next((one.title for one in (*self.datasets, *self.models) if one.name == name), name)

    def has(self, stem: str) -> bool:
        """Whether there is a table or figure whose stem begins so."""
        return any(one == stem or one.startswith(f"{stem}_") for one in self.artifacts)
