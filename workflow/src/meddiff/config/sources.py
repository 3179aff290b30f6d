"""Files that a configuration names and no rule makes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meddiff.config.schema.data.split import GivenSplit

if TYPE_CHECKING:
    from meddiff.config.load import Config

SPLITS = ("train", "valid", "test")
_WEIGHTS = ("model.safetensors", "config.yaml")


@dataclass(frozen=True)
class Source:
    """A file of the user's.

    Attributes:
        key: file and key of the configuration that name it.
        path: as the configuration has it; relative to the folder of the Snakefile.
        made: outputs of the rules that read it, by the beginning of their path.
    """

    key: str
    path: str
    made: str

    def is_there(self) -> bool:
        """Whether it is a file."""
        return os.path.isfile(self.path)


def sources(config: Config) -> list[Source]:
    """All files of the user's that rules of this experiment have as inputs, images left out."""
    found = []
    for name, dataset in config.on_disk.items():
        if isinstance(dataset.split, GivenSplit):
            for split in SPLITS:
                key = f"{config.root}/datasets/{name}.yaml: split.{split}"
                found.append(Source(key, getattr(dataset.split, split), f"splits/{name}/"))
        if dataset.leaks.groups is not None:
            key = f"{config.root}/datasets/{name}.yaml: leaks.groups.csv"
            found.append(Source(key, dataset.leaks.groups.csv, f"splits/{name}/"))
    settings = config.experiment.counterfactuals
    for option in ("oracle", "features"):
        folder = getattr(settings, option, None)
        if folder is not None and os.sep in folder:
            key = f"{config.root}/experiments/{config.name}.yaml: counterfactuals.{option}"
            made = f"results/{config.results_name}/"
            found += [Source(key, f"{folder}/{file}", made) for file in _WEIGHTS]
    return found
