"""What the report is told about an experiment: its ``--params``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from meddiff.artifacts.settings import ModelEntry
from meddiff.config.schema.strict import Strict
from meddiff.text import one_line

Line = Annotated[str, AfterValidator(one_line)]
# Names of tables and figures that are no words.
_TITLES = {"ood": "Unlike the training data"}


class ReportDataset(Strict):
    """A dataset that models are trained on."""

    name: str
    title: Line
    classes: list[Line] = Field(min_length=1, description="names in order of the class index")
    phantom: bool = Field(description="whether its images are generated")
    store: str = Field(description="folder of the image store that sample images are taken from")


class ReportRun(Strict):
    """One trained model and its folder; `dataset` is ``joint`` for one of all datasets."""

    dataset: str
    model: str
    seed: int
    folder: str


class ReportArtifact(Strict):
    """A table or a figure, in the order of the files given with ``--input``.

    Attributes:
        stem: where its files lie below the results, such as ``figures/reliability_chest``.
        name: of its module, such as ``figures/reliability``.
        part: what it is of, where an experiment has several; else empty.
        caption: what Snakemake's report says about it.
    """

    stem: str
    name: str
    part: str
    caption: str


class ReportSettings(Strict):
    """All that the page depends on beside the files.

    Attributes:
        name: of the folder below ``results``.
        titles: what results call a dataset, also pairs that models are tested across -> its title.
        configuration: ``experiment`` and ``datasets``, resolved.
    """

    name: str
    title: Line
    preset: Literal["fixed", "official"] | None
    released: bool = Field(description="whether the weights are those the authors released")
    confidence: float = Field(gt=0, lt=1)
    results: str
    datasets: list[ReportDataset] = Field(min_length=1)
    models: list[ModelEntry] = Field(min_length=1)
    titles: dict[str, Line]
    runs: list[ReportRun]
    artifacts: list[ReportArtifact] = Field(min_length=1)
    configuration: dict[str, Any]

    def model_titles(self) -> dict[str, str]:
        """Model -> title."""
        return {model.name: model.title for model in self.models}

    def dataset_title(self, name: str) -> str:
        """The title of a dataset as results name it."""
        return self.titles.get(name, name)

    def is_diffusion(self, model: str) -> bool:
        """Whether a model classifies by noise-prediction errors."""
        return any(entry.name == model and entry.family == "diffusion" for entry in self.models)

    def artifact_title(self, artifact: ReportArtifact) -> str:
        """How a table or figure is called on the page."""
        short = artifact.name.rpartition("/")[2]
        title = _TITLES.get(short, short.replace("_", " ").capitalize())
        return f"{title}: {self.dataset_title(artifact.part)}" if artifact.part else title
