"""Where weights come from: pretrained ones that training begins from, and those the authors released."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from meddiff.config.schema.pretrained import GeneratedPretrained, PretrainedBase, PretrainedConfig
from meddiff.errors import ConfigError

if TYPE_CHECKING:
    from meddiff.config.load import Config
    from meddiff.config.schema.model import AnyModel

OFFICIAL_KEY, PRETRAINED_KEY = "official_weights", "pretrained_"
# The authors' folder in Google Drive (their README, "Downloading Model Weights"), and where it is kept.
OFFICIAL_FOLDER_ID = "1x7CKrbS8pxS45EXzpUKhpusBYCLgH82Y"
OFFICIAL_FILES = "data/official/files"


def pretrained_files(model: AnyModel) -> PretrainedConfig | GeneratedPretrained | None:
    """The files that the training of `model` begins from.

    None where it begins from random weights, or from those of a training of the same experiment.
    """
    # Some kinds have no such key.
    pretrained = getattr(model, "pretrained", None)
    return pretrained if isinstance(pretrained, PretrainedBase) else None


class WeightSources:
    """The weights that an experiment does not train itself.

    Folders that the user has already are named by ``--config KEY=PATH`` or ``MEDDIFF_<KEY>``; where they lie
    changes no result, so they are no configuration.

    Attributes:
        keys: the keys that may name a folder, in this experiment.
    """

    def __init__(self, config: Config, top: Mapping[str, Any]) -> None:
        """Look up the folders that `top` (the workflow's config dictionary) or the environment names.

        Raises:
            ConfigError: if a model's pretrained weights differ between datasets.
        """
        self._config = config
        self._by_name = self._pretrained_by_name()
        self.keys = [OFFICIAL_KEY, *(PRETRAINED_KEY + name for name in self.hub())]
        named = {key: top.get(key) or os.environ.get(f"MEDDIFF_{key.upper()}") for key in self.keys}
        self._folders = {key: str(path) for key, path in named.items() if path}

    def pretrained(self, model: str) -> PretrainedConfig | GeneratedPretrained | None:
        """What the training of `model` begins from, on whichever dataset; None where it is random.

        Raises:
            ConfigError: if it differs between datasets: the files are kept under the model's name.
        """
        config = self._config
        datasets = [dataset for name, dataset in config.trained_pairs() if name == model]
        found = [pretrained_files(config.model(model, dataset)) for dataset in datasets]
        given = [pretrained for pretrained in found if pretrained]
        if any(pretrained != given[0] for pretrained in given):
            raise ConfigError(
                f"{config.root}/models/{model}.yaml: pretrained: differs between the datasets "
                f"{', '.join(datasets)}; write a second model's file for the other weights"
            )
        return given[0] if given else None

    def hub(self) -> dict[str, PretrainedConfig]:
        """Name -> pretrained weights that come from the Hugging Face hub."""
        return {name: p for name, p in self._by_name.items() if isinstance(p, PretrainedConfig)}

    def generated(self) -> dict[str, GeneratedPretrained]:
        """Name -> pretrained weights that the workflow makes itself."""
        return {name: p for name, p in self._by_name.items() if isinstance(p, GeneratedPretrained)}

    def pretrained_name(self, model: str) -> str:
        """The name that the pretrained weights of `model` are kept under."""
        return self.pretrained(model).name or model

    def pretrained_dir(self, name: str) -> str:
        """Where the workflow keeps the pretrained weights called `name` and their manifest."""
        return f"data/pretrained/{name}"

    def pretrained_folder(self, name: str) -> str:
        """Where the pretrained weights called `name` come from: the user's folder, or a download."""
        return self._folders.get(PRETRAINED_KEY + name, self.pretrained_dir(name))

    def _pretrained_by_name(self) -> dict[str, PretrainedConfig | GeneratedPretrained]:
        found: dict[str, PretrainedConfig | GeneratedPretrained] = {}
        for model in self._config.every_model():
            pretrained = self.pretrained(model)
            if pretrained is None:
                continue
            name = self.pretrained_name(model)
            if found.setdefault(name, pretrained) != pretrained:
                raise ConfigError(
                    f"{self._config.root}/models/{model}.yaml: pretrained: another model has other weights "
                    f"called {name}; give them a name of their own (pretrained.name)"
                )
        return found

    def official_folder(self) -> str:
        """Where the authors' released weights lie: the user's folder, or the download's."""
        return self._folders.get(OFFICIAL_KEY, OFFICIAL_FILES)

    def releases(self) -> dict[str, str]:
        """Folder of the authors' release -> kind of model, for all of this experiment that needs training."""
        config = self._config
        pairs = [(model, dataset) for model in config.experiment.models for dataset in config.datasets]
        return {self.released(m, d): config.model(m, d).kind for m, d in pairs if config.model(m, d).train}

    def released(self, model: str, dataset: str) -> str:
        """Folder of the authors' release with the weights of `model` trained on `dataset`.

        Raises:
            ConfigError: if they released none.
        """
        config = self._config
        released = config.model(model, dataset).released
        if dataset not in released:
            raise ConfigError(
                f"weights=official: the authors released no weights of {model} for {dataset} "
                f"({config.root}/models/{model}.yaml: released); leave it out of "
                f"{config.root}/experiments/{config.name}.yaml or use weights=train"
            )
        return released[dataset]
