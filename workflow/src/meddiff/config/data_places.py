"""What the command line says about data: where images and official split files lie, which splits to use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from meddiff.config.datasets.folds import whole
from meddiff.config.schema.data.source import LocalSource, PackageSource, PhantomSource
from meddiff.config.schema.data.split import OfficialSplit
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.errors import ConfigError

ROOT_KEY, SPLITS_KEY, SPLITS_ROOT_KEY = "root_", "splits_", "splits_root"
PACKAGES = "data/packages"
SHIPPED_SPLITS = "splits/official"


class DataPlaces:
    """Folders that the user has already, and datasets as the command line changes them.

    ``--config root_<dataset>=PATH`` (or ``MEDDIFF_ROOT_<DATASET>``) names the folder of a dataset,
    ``splits_root=PATH`` (or ``MEDDIFF_SPLITS_ROOT``) one with official split files. Where files lie changes
    no result, so it is no configuration. ``splits_<dataset>=recipe`` draws splits where official ones are
    configured.

    Attributes:
        keys: the keys that this experiment's datasets allow on the command line.
        datasets: name -> dataset, with the split that this run uses.
        splits_root: the folder where official split files are looked for first.
    """

    def __init__(self, datasets: Mapping[str, DatasetConfig], top: Mapping[str, Any]) -> None:
        """Read the keys of `top` (the workflow's config dictionary) and the environment.

        Raises:
            ConfigError: a folder is named for generated images, or a kind of split that there is not.
        """
        official = [name for name, d in datasets.items() if isinstance(d.split, OfficialSplit)]
        self.keys = [ROOT_KEY + name for name in datasets]
        self.keys += [SPLITS_ROOT_KEY] * bool(official) + [SPLITS_KEY + name for name in official]
        self.splits_root = self._named(SPLITS_ROOT_KEY, top) or SHIPPED_SPLITS
        self.datasets = {name: self._with_split(name, d, top) for name, d in datasets.items()}
        self._roots: dict[str, str] = {}
        for name, dataset in datasets.items():
            if isinstance(dataset.source, PhantomSource):
                if ROOT_KEY + name in top:
                    raise ConfigError(f"--config {ROOT_KEY}{name}: dataset {name} has no local source")
            elif path := self._named(ROOT_KEY + name, top):
                self._roots[name] = path

    def root(self, dataset: str) -> str:
        """The folder of a dataset's images: the user's, or the one where the workflow puts them.

        Folds have that of their dataset.
        """
        dataset = whole(dataset)
        return self._roots.get(dataset) or self.workflow_root(dataset) or f"data/{dataset}/local"

    def workflow_root(self, dataset: str) -> str | None:
        """Where the workflow itself puts the images of a dataset; None where they are the user's."""
        dataset = whole(dataset)
        source = self.datasets[dataset].source
        if dataset in self._roots or isinstance(source, LocalSource):
            return None
        if isinstance(source, PackageSource):
            return f"{PACKAGES}/{source.file_id}/{source.folder}"
        return f"data/{dataset}/raw"

    @staticmethod
    def _named(key: str, top: Mapping[str, Any]) -> str | None:
        path = top.get(key) or os.environ.get(f"MEDDIFF_{key.upper()}")
        return str(path) if path else None

    @staticmethod
    def _with_split(name: str, dataset: DatasetConfig, top: Mapping[str, Any]) -> DatasetConfig:
        key = SPLITS_KEY + name
        if key not in top or not isinstance(dataset.split, OfficialSplit):
            return dataset
        if top[key] not in ("official", "recipe"):
            raise ConfigError(f"--config {key}: expected 'official' or 'recipe', got {top[key]!r}")
        if top[key] == "official":
            return dataset
        return dataset.model_copy(update={"split": dataset.split.recipe})
