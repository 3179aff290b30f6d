"""What the rule of the report takes from the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from meddiff.config.folders import REPORT
from meddiff.pipeline.experiment import Experiment
from meddiff.pipeline.training import pretraining_runs
from meddiff.text import script_safe_json

CAPTION = """\
One page with everything: what was asked and found, all tables and figures, data, training, cost and
configuration. It opens without a network.
"""
# How many processes, which kernels, where copies lie: the run's record has these, and they change no result.
_NOT_SHOWN = {"compute", "figures"}


def page_of(experiment: Experiment) -> str:
    """The page that shows everything."""
    return f"{experiment.results}/{REPORT}/index.html"


class PlannedArtifact(Protocol):
    """What the report needs to know of a table or figure (`meddiff.artifacts.lookup.Planned`)."""

    name: str
    artifact: Any
    wanted: Any

    @property
    def stem(self) -> str: ...

    def outputs(self, results: str) -> list[str]: ...


class Reporting:
    """What it takes: the tables and figures as files, and as settings what they are of.

    Weights' records, image stores and records of jobs are no inputs. They are read where they lie, if they
    are there: a clone that was restored without them has a report, too, and to make it there again fetches no
    image and trains no model. That they are the right ones is vouched for by the tables, which were made
    from what was made from them.
    """

    def __init__(self, experiment: Experiment, artifacts: Sequence[PlannedArtifact]) -> None:
        self._experiment, self._artifacts = experiment, artifacts

    def files(self) -> dict[str, list[str]]:
        """Name -> files: of every artifact the CSV, and what is looked at."""
        outputs = [artifact.outputs(self._experiment.results) for artifact in self._artifacts]
        return {"csv": [files[0] for files in outputs], "shown": [files[1] for files in outputs]}

    # Snakemake fills in braces of strings, so it is given functions.
    def params(self, wildcards: object) -> str:
        """``--params`` of the command (`meddiff.reporting.settings.ReportSettings`)."""
        experiment, config = self._experiment, self._experiment.config
        runs = [*pretraining_runs(experiment), *experiment.joint_runs(), *experiment.trained_runs()]
        return script_safe_json(
            {
                "name": config.results_name,
                "title": experiment.settings.title,
                "preset": config.preset,
                "released": config.official_weights,
                "confidence": experiment.settings.evaluate.confidence,
                "results": experiment.results,
                "datasets": [self._dataset(name) for name in experiment.datasets],
                "models": [self._model(name) for name in config.every_model()],
                "titles": self._titles(),
                "runs": [{**run.model_dump(mode="json"), "folder": experiment.trained(run)} for run in runs],
                "artifacts": [self._artifact(one) for one in self._artifacts],
                "configuration": self._configuration(),
            }
        )

    def caption(self, wildcards: object) -> str:
        """What Snakemake's report says about the page."""
        return CAPTION

    def inputs(self, wildcards: object) -> list[str]:
        """Words of the options ``--input NAME FILE...``."""
        return [word for name, files in self.files().items() for word in ("--input", name, *files)]

    def _artifact(self, one: PlannedArtifact) -> dict[str, str]:
        return {"stem": one.stem, "name": one.name, "part": one.wanted.part, "caption": one.artifact.caption}

    def _dataset(self, name: str) -> dict[str, Any]:
        """What is shown of a dataset, and the store of its largest images, for samples."""
        experiment = self._experiment
        dataset = experiment.config.datasets[name]
        largest = max(experiment.models, key=lambda model: experiment.image_size(name, model))
        return {
            "name": name,
            "title": dataset.title,
            "classes": [entry.name for entry in dataset.classes],
            "phantom": dataset.source.kind == "phantom",
            "store": experiment.store(name, largest),
        }

    def _model(self, name: str) -> dict[str, Any]:
        model = self._experiment.any_dataset(name)
        return {"name": name, "title": model.title, "family": model.family}

    def _titles(self) -> dict[str, str]:
        """What results call each dataset, also the pairs that models are tested across, -> its title."""
        found = {name: dataset.title for name, dataset in self._experiment.config.every_dataset.items()}
        for artifact in self._artifacts:
            entries: Iterable[Any] = getattr(artifact.wanted.settings, "datasets", ())
            found |= {e.name: e.title for e in entries if hasattr(e, "title") and e.name not in found}
        return found

    def _configuration(self) -> dict[str, Any]:
        """The experiment and its datasets, resolved; models' own files lie beside their weights."""
        experiment = self._experiment
        datasets = experiment.config.datasets
        return {
            "experiment": experiment.settings.model_dump(mode="json", exclude=_NOT_SHOWN),
            "datasets": {name: dataset.model_dump(mode="json") for name, dataset in datasets.items()},
        }
