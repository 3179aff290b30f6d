"""What the rule takes from the configuration that writes drafts for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meddiff.config.folders import REPORT
from meddiff.pipeline.experiment import Experiment
from meddiff.pipeline.reporting import PlannedArtifact
from meddiff.text import script_safe_json


def written(experiment: Experiment) -> list[str]:
    """Methods, references and check lists, beside the report."""
    names = ("methods.md", "references.bib", "checklists.csv")
    return [f"{experiment.results}/{REPORT}/{name}" for name in names]


class Writing:
    """The facts of an experiment, and the tables that have counts.

    What trainings noted (``run.json``) is read where it is there, and is no input, as for the report
    (`meddiff.pipeline.reporting.Reporting`); the table of metrics is one, so that it is read again.
    """

    def __init__(self, experiment: Experiment, artifacts: Sequence[PlannedArtifact]) -> None:
        self._experiment, self._artifacts = experiment, artifacts

    def files(self) -> dict[str, list[str]]:
        """Name -> files."""
        names = ("participants", "flow", "leaks", "metrics")
        return {name: [f"{self._experiment.results}/tables/{name}.csv"] for name in names}

    # Snakemake fills in braces of strings, so it is given functions.
    def inputs(self, wildcards: object) -> list[str]:
        """Words of the options ``--input NAME FILE...``."""
        return [word for name, files in self.files().items() for word in ("--input", name, *files)]

    def params(self, wildcards: object) -> str:
        """``--params`` of the command (`meddiff.writing.settings.WritingSettings`)."""
        experiment, config = self._experiment, self._experiment.config
        settings = experiment.settings
        kept = ("score", "evaluate", "prevalence", "counterfactuals", "shifts", "study")
        return script_safe_json(
            {
                **settings.model_dump(mode="json", include={*kept}),
                "name": config.results_name,
                "title": settings.title,
                "preset": config.preset,
                "released": config.official_weights,
                "seeds": settings.seeds,
                "datasets": [self._dataset(name) for name in config.every_dataset],
                "models": [self._model(name) for name in experiment.models],
                "test_on": {name: sorted(others) for name, others in settings.test_on.items()},
                "artifacts": [artifact.stem for artifact in self._artifacts],
            }
        )

    def _dataset(self, name: str) -> dict[str, Any]:
        dataset = self._experiment.config.every_dataset[name]
        return {
            "name": name,
            "title": dataset.title,
            "classes": [entry.name for entry in dataset.classes],
            "source": dataset.source.kind,
            "image_size": dataset.image_size,
            "channels": dataset.channels,
            "split": dataset.split.model_dump(mode="json"),
            "leaks": dataset.leaks.model_dump(mode="json"),
            "audited": dataset.audit is not None,
            "described": list(dataset.participants.columns()) if dataset.participants else [],
        }

    def _model(self, name: str) -> dict[str, Any]:
        experiment = self._experiment
        model = experiment.any_dataset(name)
        configs = {dataset: experiment.config.model(name, dataset) for dataset in experiment.datasets}
        runs: dict[str, list[str]] = {}
        for run in (*experiment.joint_runs(), *experiment.trained_runs()):
            if run.model == name:
                runs.setdefault(run.dataset, []).append(experiment.weights(run))
        return {
            "name": name,
            "title": model.title,
            "family": model.family,
            "configs": {dataset: one.model_dump(mode="json") for dataset, one in configs.items()},
            "runs": runs,
        }
