"""What the rules that compare evidence maps with known lesions take from the configuration."""

from __future__ import annotations

from meddiff.models.kinds import network_module
from meddiff.pipeline.code import code_of
from meddiff.pipeline.experiment import BASELINE_DECISIONS, VALIDATION, Experiment
from meddiff.pipeline.wildcards import Wildcards, trained_run
from meddiff.runs import Run, ScoringRun, TrainedRun
from meddiff.text import script_safe_json


class Localising:
    """What these rules take. Baselines are those of the same dataset and seed."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def grad_cam_code(self, wildcards: Wildcards) -> list[str]:
        """The maps, their file, and the network."""
        kind = self._experiment.config.model(wildcards.model, wildcards.dataset).kind
        modules = "meddiff.localising.grad_cam", "meddiff.localising.saliency_file"
        return code_of(*modules, network_module(kind))

    def settings(self, wildcards: Wildcards) -> str:
        """Which run it is, its baselines, where lesions are, and how intervals are made."""
        run = self._run(wildcards)
        return script_safe_json(
            {
                **run.model_dump(),
                **self._experiment.resampling(),
                "phantom": self._experiment.config.datasets[run.dataset].format.kind,
                "baselines": [baseline.model for baseline in compared_baselines(self._experiment, run)],
            }
        )

    def evidence_valid(self, wildcards: Wildcards) -> list[str]:
        """Maps of the validation split, where that is scored."""
        run = self._run(wildcards)
        return [self._experiment.evidence(run, VALIDATION)] * self._experiment.settings.score.validation

    def grad_cam(self, wildcards: Wildcards) -> list[str]:
        """Maps of the baselines on the test split."""
        runs = compared_baselines(self._experiment, self._run(wildcards))
        return [self._experiment.grad_cam(run, "test") for run in runs]

    def grad_cam_valid(self, wildcards: Wildcards) -> list[str]:
        """Those of the validation split, where anything is chosen on it."""
        validation = self._experiment.settings.score.validation
        runs = compared_baselines(self._experiment, self._run(wildcards)) if validation else []
        return [self._experiment.grad_cam(run, VALIDATION) for run in runs]

    def scores_valid(self, wildcards: Wildcards) -> list[str]:
        """Predictions of the baselines on the validation split."""
        validation = self._experiment.settings.score.validation
        runs = compared_baselines(self._experiment, self._run(wildcards)) if validation else []
        decision = BASELINE_DECISIONS[0]
        return [
            self._experiment.scores(Run(**run.model_dump(), decision=decision), VALIDATION) for run in runs
        ]

    def options(self, wildcards: Wildcards) -> list[str]:
        """Words of the options that name the files which may be missing."""
        options = {
            "--evidence-valid": self.evidence_valid(wildcards),
            "--grad-cam": self.grad_cam(wildcards),
            "--grad-cam-valid": self.grad_cam_valid(wildcards),
            "--scores-valid": self.scores_valid(wildcards),
        }
        return [word for option, paths in options.items() if paths for word in (option, *paths)]

    def _run(self, wildcards: Wildcards) -> ScoringRun:
        return ScoringRun(**trained_run(wildcards).model_dump(), votes=int(wildcards.votes))


def compared_baselines(experiment: Experiment, run: TrainedRun) -> list[TrainedRun]:
    """The baselines on the images of `run`, of the same size: maps are compared pixel by pixel."""
    size = experiment.image_size(run.dataset, run.model)
    return [
        TrainedRun(dataset=run.dataset, model=model, seed=run.seed)
        for model in experiment.models
        if not experiment.is_diffusion(model) and experiment.image_size(run.dataset, model) == size
    ]
