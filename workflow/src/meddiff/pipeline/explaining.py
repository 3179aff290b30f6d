"""What the rules about counterfactuals take from the configuration."""

from __future__ import annotations

import os

from meddiff.config.schema.counterfactual import CounterfactualConfig
from meddiff.models.kinds import network_module
from meddiff.pipeline.code import code_of
from meddiff.pipeline.experiment import BASELINE_DECISIONS, Experiment
from meddiff.pipeline.wildcards import Wildcards, trained_run
from meddiff.runs import Run, TrainedRun
from meddiff.text import script_safe_json

_MAKING = (
    *("sampling_steps", "sampler", "images_per_class", "seed", "precision", "validity_steps", "decision"),
    "front",
)


class Explaining:
    """What these rules take, in an experiment that makes counterfactuals."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    @property
    def _counterfactuals(self) -> CounterfactualConfig:
        return self._experiment.settings.counterfactuals

    def settings(self, wildcards: Wildcards) -> str:
        """How counterfactuals are made."""
        settings = self._counterfactuals
        as_published = self._experiment.config.preset == "official" and settings.sampler == "ancestral"
        return script_safe_json(
            {
                **settings.guidance(wildcards.model),
                **settings.model_dump(mode="json", include=set(_MAKING)),
                "extra_last_step": as_published,
                "noise_levels": self._experiment.settings.score.noise_levels,
            }
        )

    def code(self, wildcards: Wildcards) -> list[str]:
        """The making, the model's own judgement, and the network."""
        kind = self._experiment.config.model(wildcards.model, wildcards.dataset).kind
        return code_of(
            "meddiff.explaining.counterfactuals", "meddiff.explaining.judging", network_module(kind)
        )

    def judges(self, wildcards: Wildcards) -> dict[str, str]:
        """Option of ``meddiff explain`` -> folder of the weights of a baseline that judges."""
        settings = self._counterfactuals
        named = {"oracle": settings.oracle, "features": settings.features or settings.oracle}
        return {
            option: name if _is_folder(name) else self._experiment.weights(_of_model(wildcards, name))
            for option, name in named.items()
            if name is not None
        }

    def judge_weights(self, wildcards: Wildcards) -> list[str]:
        """Files of their weights."""
        folders = dict.fromkeys(self.judges(wildcards).values())
        return [f"{folder}/{name}" for folder in folders for name in ("model.safetensors", "config.yaml")]

    def judge_options(self, wildcards: Wildcards) -> list[str]:
        """Words of the options that name their folders."""
        return [word for option, folder in self.judges(wildcards).items() for word in (f"--{option}", folder)]

    def judge_code(self, wildcards: Wildcards) -> list[str]:
        """How they judge, if there are any."""
        return code_of("meddiff.explaining.feature_network") if self.judges(wildcards) else []

    def own_predictions(self, wildcards: Wildcards) -> str:
        """The model's own predictions of the test images, with the first vote seed."""
        run, experiment = trained_run(wildcards), self._experiment
        votes = experiment.settings.score.vote_seeds(run.seed)[0]
        decision = self._counterfactuals.decision
        return experiment.predictions(Run(**run.model_dump(), votes=votes, decision=decision))

    def oracle_predictions(self, wildcards: Wildcards) -> list[str]:
        """The oracle's predictions of the test images, if there is an oracle."""
        oracle = self._counterfactuals.oracle
        if oracle is None:
            return []
        run = _of_model(wildcards, oracle).model_dump()
        return [self._experiment.predictions(Run(**run, decision=BASELINE_DECISIONS[0]))]

    def oracle_option(self, wildcards: Wildcards) -> list[str]:
        """Words of the option that names them."""
        return [word for path in self.oracle_predictions(wildcards) for word in ("--oracle", path)]

    def masks_manifest(self, wildcards: Wildcards) -> list[str]:
        """What a phantom knows about its images lies beside them; other datasets have nothing like it."""
        return [self._experiment.on_disk(wildcards.dataset, "raw.json")] * self._is_phantom(wildcards.dataset)

    def measuring_settings(self, wildcards: Wildcards) -> str:
        """Which counterfactuals are measured, and how."""
        dataset = wildcards.dataset
        layout = self._experiment.config.datasets[dataset].format.kind
        return script_safe_json(
            {
                **trained_run(wildcards).model_dump(),
                **self._experiment.resampling(),
                **self._counterfactuals.model_dump(include={"mask_margin", "examples"}),
                "phantom": layout if self._is_phantom(dataset) else None,
            }
        )

    def _is_phantom(self, dataset: str) -> bool:
        return self._experiment.config.datasets[dataset].source.kind == "phantom"


def _is_folder(name: str) -> bool:
    """Whether a network is named by its folder, not as a model of the experiment."""
    return os.sep in name


def _of_model(wildcards: Wildcards, model: str) -> TrainedRun:
    """The run of another model on the dataset of a job, with its seed."""
    return TrainedRun(dataset=wildcards.dataset, model=model, seed=int(wildcards.seed))
