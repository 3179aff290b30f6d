"""What the rules that train take from the configuration."""

from __future__ import annotations

from typing import Any

from meddiff.config.datasets.pretraining import begins_from
from meddiff.config.schema.model import AnyModel
from meddiff.config.weights import pretrained_files
from meddiff.models.kinds import training_modules
from meddiff.pipeline.code import code_of
from meddiff.pipeline.data import arrays_of, folders_of, manifest_of
from meddiff.pipeline.experiment import JOINT, Experiment
from meddiff.pipeline.wildcards import Wildcards
from meddiff.runs import TrainedRun
from meddiff.text import script_safe_json


def pretraining_runs(experiment: Experiment) -> list[TrainedRun]:
    """What is trained only because others begin from it."""
    used = experiment.trained_runs()
    runs = [TrainedRun(**run.model_dump()) for run in experiment.config.pretraining]
    return [run for run in runs if run not in used]


class Training:
    """What the rules that train take from the configuration.

    A model is trained on one dataset, or on all of them together: such a job has no wildcard ``dataset``.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment, self._config = experiment, experiment.config

    def separate_models(self) -> list[str]:
        """Models that are trained on one dataset at a time: also those that others begin from."""
        before = [run.model for run in self._config.pretraining]
        return list(dict.fromkeys([*self._experiment.single_models(), *before]))

    def trained(self, wildcards: Wildcards) -> TrainedRun:
        """What is trained; its dataset is `JOINT` where these are all."""
        dataset = getattr(wildcards, "dataset", JOINT)
        return TrainedRun(dataset=dataset, model=wildcards.model, seed=int(wildcards.seed))

    def datasets(self, wildcards: Wildcards) -> list[str]:
        """The datasets that it is trained on, in the experiment's order: so its classes are numbered."""
        dataset = self.trained(wildcards).dataset
        return self._experiment.datasets if dataset == JOINT else [dataset]

    def stores(self, wildcards: Wildcards) -> list[str]:
        """Folders of their images."""
        experiment = self._experiment
        return [experiment.training_store(dataset, wildcards.model) for dataset in self.datasets(wildcards)]

    def manifests(self, wildcards: Wildcards) -> list[str]:
        """Manifests of their images."""
        return [manifest_of(store) for store in self.stores(wildcards)]

    def arrays(self, wildcards: Wildcards) -> list[str]:
        """The images behind the manifests; one model of all datasets is not validated while it is trained."""
        joint = self.trained(wildcards).dataset == JOINT
        return arrays_of(self.stores(wildcards), ("train",) if joint else ("train", "valid"))

    def pretrained(self, wildcards: Wildcards) -> list[str]:
        """What the model begins from, where its configuration names something.

        The manifest of files that were fetched or generated, or the weights of another training.
        """
        model = self._model(wildcards)
        if (run := begins_from(model)) is not None:
            return [f"{self._experiment.weights(TrainedRun(**run.model_dump()))}/model.safetensors"]
        if pretrained_files(model) is None:
            return []
        return [self._experiment.pretrained_manifest(wildcards.model)]

    def pretrained_option(self, wildcards: Wildcards) -> list[str]:
        """Words of the option that names the folder of these weights, if there are any."""
        return [
            word for folder in folders_of(self.pretrained(wildcards)) for word in ("--pretrained", folder)
        ]

    def settings(self, wildcards: Wildcards) -> str:
        """The model, without what its weights do not depend on, and the seed."""
        model = self._model(wildcards).model_dump(mode="json")
        return script_safe_json({"model": model, "seed": int(wildcards.seed)})

    def code(self, wildcards: Wildcards) -> list[str]:
        """The training, the network, and its loss."""
        return code_of(*training_modules(self._model(wildcards)))

    def beginning(self, wildcards: Wildcards) -> dict[str, Any] | None:
        """The training that this one begins from, as `meddiff.training.due.DueTraining` reads it."""
        run = begins_from(self._model(wildcards))
        if run is None:
            return None
        dataset = self._config.every_dataset[run.dataset]
        return {
            "run": f"{run.dataset}/{run.model}/seed{run.seed}",
            "model": self._config.training_model(run.model, run.dataset).model_dump(mode="json"),
            "num_classes": len(dataset.classes),
            "channels": dataset.channels,
            "image_size": self._experiment.image_size(run.dataset, run.model),
        }

    def run(self, wildcards: Wildcards) -> str:
        """``<dataset>/<model>/seed<k>``: where published weights are looked up (not tracked, a resource)."""
        run = self.trained(wildcards)
        return f"{run.dataset}/{run.model}/seed{run.seed}"

    def decision(self, wildcards: Wildcards) -> str:
        """What the user said about a published model that would change (a resource, too)."""
        return self._config.decisions.of(self.run(wildcards))

    def _model(self, wildcards: Wildcards) -> AnyModel:
        dataset = self.trained(wildcards).dataset
        if dataset == JOINT:
            return self._config.joint_model(wildcards.model)
        return self._config.training_model(wildcards.model, dataset)
