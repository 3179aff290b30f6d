"""What the rules about weights that are not trained here take from the configuration."""

from __future__ import annotations

from typing import Any

from meddiff.config.schema.model import AnyModel
from meddiff.models.kinds import network_module
from meddiff.pipeline.code import code_of
from meddiff.pipeline.data import arrays_of, manifest_of
from meddiff.pipeline.experiment import Experiment
from meddiff.pipeline.wildcards import Wildcards
from meddiff.text import script_safe_json
from meddiff.weights.released import importer_module


class Weights:
    """What these rules take: pretrained, released and joint weights, for one model and dataset."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment, self._config = experiment, experiment.config
        self._sources = experiment.config.weights

    def hub_settings(self, wildcards: Wildcards) -> str:
        """What is fetched from the Hugging Face hub."""
        pretrained = self._sources.hub()[wildcards.pretrained]
        return script_safe_json(pretrained.model_dump(mode="json", exclude={"name"}))

    def hub_folder(self, wildcards: Wildcards) -> str:
        """Where it comes from: a folder of the user's (not tracked, a resource) or a download."""
        return self._sources.pretrained_folder(wildcards.pretrained)

    def generated_settings(self, wildcards: Wildcards) -> str:
        """How a pretrained model of the workflow's own is made."""
        pretrained = self._sources.generated()[wildcards.pretrained]
        return script_safe_json(pretrained.model_dump(mode="json", exclude={"name", "datasets"}))

    def generated_stores(self, wildcards: Wildcards) -> list[str]:
        """Stores of the images that it is fit to, in the size of the models that begin from it."""
        name, sources, experiment = wildcards.pretrained, self._sources, self._experiment
        begin = [model for model in experiment.models if sources.pretrained(model)]
        model = next(model for model in begin if sources.pretrained_name(model) == name)
        return [experiment.store(dataset, model) for dataset in sources.generated()[name].datasets]

    def generated_manifests(self, wildcards: Wildcards) -> list[str]:
        """Their manifests."""
        return [manifest_of(store) for store in self.generated_stores(wildcards)]

    def generated_arrays(self, wildcards: Wildcards) -> list[str]:
        """The images behind the manifests."""
        return arrays_of(self.generated_stores(wildcards), ("train",))

    def pretrained_manifest(self, wildcards: Wildcards) -> str:
        """Manifest of the weights of a model that is used as it comes."""
        return self._experiment.pretrained_manifest(wildcards.model)

    def zero_shot_settings(self, wildcards: Wildcards) -> str:
        """A model that is used as it comes, before one dataset."""
        return script_safe_json(self._before(wildcards))

    def selected_settings(self, wildcards: Wildcards) -> str:
        """A model of all datasets, before one: its classes begin after those of the datasets before."""
        datasets, names = self._config.datasets, self._experiment.datasets
        before = names[: names.index(wildcards.dataset)]
        first_class = sum(len(datasets[name].classes) for name in before)
        return script_safe_json({**self._before(wildcards), "first_class": first_class})

    def taking_code(self, wildcards: Wildcards) -> list[str]:
        """What takes weights of Stable Diffusion for one dataset."""
        return code_of("meddiff.weights.stable_diffusion", network_module(self._model(wildcards).kind))

    def official_folder(self, wildcards: Wildcards) -> str:
        """A copy of the authors' release: the user's (not tracked, a resource) or what was downloaded."""
        return self._sources.official_folder()

    def release_settings(self, wildcards: Wildcards) -> str:
        """What is fetched from the authors' release."""
        release = wildcards.release
        return script_safe_json({"kind": self._sources.releases()[release], "release": release})

    def release_manifest(self, wildcards: Wildcards) -> str:
        """What was fetched of a model."""
        return f"data/official/manifests/{self._release(wildcards)}.json"

    def imported_settings(self, wildcards: Wildcards) -> str:
        """A model with released weights, before its dataset."""
        return script_safe_json({**self._before(wildcards), "release": self._release(wildcards)})

    def importing_code(self, wildcards: Wildcards) -> list[str]:
        """What reads released weights of a kind of model."""
        kind = self._model(wildcards).kind
        return code_of("meddiff.weights.run_import", importer_module(kind), network_module(kind))

    def _release(self, wildcards: Wildcards) -> str:
        return self._sources.released(wildcards.model, wildcards.dataset)

    def _model(self, wildcards: Wildcards) -> AnyModel:
        return self._config.training_model(wildcards.model, wildcards.dataset)

    def _before(self, wildcards: Wildcards) -> dict[str, Any]:
        """A model as it stands before one dataset: configuration, and the shape of its problem."""
        dataset = self._config.datasets[wildcards.dataset]
        return {
            "model": self._model(wildcards).model_dump(mode="json"),
            "num_classes": len(dataset.classes),
            "channels": dataset.channels,
            "image_size": self._experiment.image_size(wildcards.dataset, wildcards.model),
            "seed": int(wildcards.seed),
        }
