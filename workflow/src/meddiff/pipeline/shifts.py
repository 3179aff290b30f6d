"""What the experiment's models are tried on beside their datasets: images unlike these."""

from __future__ import annotations

from meddiff.pipeline.experiment import BASELINE_DECISIONS, SHIFTED, Experiment
from meddiff.runs import Run, ScoringRun


class Shifts:
    """Datasets, runs and files of the ``shifts`` block; there are none without it."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def kinds(self, dataset: str) -> list[str]:
        """What images unlike those of `dataset` are made."""
        shifts, known = self._experiment.settings.shifts, self._experiment.config.datasets
        phantom = known[dataset].source.kind == "phantom"
        others = len(self._experiment.other_datasets(dataset))
        return [] if shifts is None else [*shifts.kinds_for(phantom, others)]

    def datasets(self) -> list[str]:
        """Datasets that have some."""
        return [name for name in self._experiment.datasets if self.kinds(name)]

    def runs(self) -> list[ScoringRun]:
        """What is tried on them: diffusion models with each of their vote seeds, then baselines."""
        names, used = self.datasets(), self._experiment.used_runs()
        runs = [run for run in used if run.dataset in names and run.tested_on is None]
        return sorted(runs, key=lambda run: run.votes is None)

    def store(self, dataset: str, model: str) -> str:
        """Folder of the images that `model` is tried on."""
        experiment = self._experiment
        return f"{experiment.results}/{dataset}/shifted/{experiment.image_size(dataset, model)}"

    def result(self, run: ScoringRun) -> str:
        """Errors of these images, or predictions of a baseline."""
        if run.votes is not None:
            return self._experiment.errors(run, SHIFTED)
        decided = Run(**run.model_dump(), decision=BASELINE_DECISIONS[0])
        return self._experiment.scores(decided, SHIFTED)
