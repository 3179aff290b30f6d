"""Read configuration files, apply overrides and presets, and report errors with file and key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from meddiff.config.dataset import DatasetConfig
from meddiff.config.experiment import ExperimentConfig
from meddiff.config.model import AnyModel, DiffusionModelConfig, ModelConfig, TimmModelConfig
from meddiff.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

NAME = re.compile(r"[a-z][a-z0-9_]*")
ROOT_KEY = "root_"

# The authors' code against the reproduction, where they differ on purpose. Each entry is one flag of
# a model; `fixed` is the default.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "fixed": {
        "unet": {"loss_weight": "min_snr", "embedding_outside": False},
        "dit": {
            "loss_weight": "min_snr",
            "adaln_zero_init": True,
            "label_table_size": 0,
            "block_label_dropout": 0.0,
        },
        "timm": {"normalisation": "pretrained"},
    },
    "official": {
        "unet": {"loss_weight": "official", "embedding_outside": True},
        "dit": {
            "loss_weight": "official",
            "adaln_zero_init": False,
            "label_table_size": 1000,
            "block_label_dropout": 0.1,
        },
        "timm": {"normalisation": "half"},
    },
}


class Config:
    """All configuration of one run, resolved.

    Attributes:
        name: the experiment's name (its file's stem).
        experiment: the experiment.
        datasets: name -> dataset, in the experiment's order.
    """

    def __init__(self, top: Mapping[str, Any], root: Path = Path("config")) -> None:
        """Read the experiment that `top` (the workflow's config dictionary) names.

        Raises:
            ConfigError: naming the file and key, for anything unknown, missing or impossible.
        """
        self.root = root
        self.name = str(top.get("experiment", ""))
        path = _named_file(root / "experiments", self.name, "experiment")
        self.experiment = _parse(ExperimentConfig, _read_yaml(path), path)
        self.datasets = {name: load_dataset(name, root) for name in self.experiment.datasets}
        self._roots = self._local_roots(top)
        for model in self.experiment.models:
            for dataset in self.experiment.datasets:
                self.model(model, dataset)

    def model(self, model: str, dataset: str) -> DiffusionModelConfig | TimmModelConfig:
        """The configuration of `model` on `dataset`: overrides and preset applied."""
        return load_model(model, dataset, self.experiment.preset, self.root)

    def training_model(self, model: str, dataset: str) -> DiffusionModelConfig | TimmModelConfig:
        """`model` without what is only shown (title, published row), so that renaming retrains nothing."""
        return self.model(model, dataset).model_copy(update={"title": model, "published": None})

    def published(self, part: str) -> dict[str, Any] | None:
        """The paper's values for one table or figure, by dataset and model of this experiment.

        Args:
            part: ``classification``, ``step_ablation`` or ``uncertainty``.

        Returns:
            The entry of ``published.yaml`` with models under this experiment's names, or None where
            the experiment does not show published values.
        """
        if not self.experiment.published:
            return None
        document = _read_yaml(self.root / "published.yaml")[part]
        by_dataset = document if part == "classification" else document["datasets"]
        named = {}
        for dataset in self.experiment.datasets:
            rows = {m: self.model(m, dataset).published for m in self.experiment.models}
            values = by_dataset.get(dataset, {})
            named[dataset] = {m: values[row] for m, row in rows.items() if row in values}
        return named if part == "classification" else {**document, "datasets": named}

    def local_root(self, dataset: str) -> str:
        """The folder with the images of a dataset whose source is ``local``."""
        return self._roots.get(dataset, f"data/{dataset}/local")

    def _local_roots(self, top: Mapping[str, Any]) -> dict[str, str]:
        roots = {}
        for name, dataset in self.datasets.items():
            if dataset.source.kind == "local" and (path := os.environ.get(f"MEDDIFF_ROOT_{name.upper()}")):
                roots[name] = path
        for key, value in top.items():
            if key == "experiment":
                continue
            name = key.removeprefix(ROOT_KEY)
            if not key.startswith(ROOT_KEY) or name not in self.datasets:
                known = ["experiment", *(ROOT_KEY + n for n in self.datasets)]
                raise ConfigError(f"--config {key}: unknown key; known are {', '.join(known)}")
            if self.datasets[name].source.kind != "local":
                raise ConfigError(f"--config {key}: dataset {name} has no local source")
            roots[name] = str(value)
        return roots


@cache
def load_dataset(name: str, root: Path = Path("config")) -> DatasetConfig:
    """Read ``<root>/datasets/<name>.yaml``."""
    path = _named_file(root / "datasets", name, "dataset")
    return _parse(DatasetConfig, _read_yaml(path), path)


@cache
def load_model(
    name: str, dataset: str, preset: str, root: Path = Path("config")
) -> DiffusionModelConfig | TimmModelConfig:
    """Read ``<root>/models/<name>.yaml`` as it applies to `dataset`.

    The document's ``datasets: {<dataset>: {...}}`` is merged over the rest, key by key; then `preset`
    fills in the flags that are still open.
    """
    path = _named_file(root / "models", name, "model")
    document = _read_yaml(path)
    overrides = document.pop("datasets", {})
    if not isinstance(overrides, dict):
        raise ConfigError(f"{path}: datasets: expected a mapping of dataset names to overrides")
    for other, changes in overrides.items():
        _named_file(root / "datasets", str(other), f"dataset (in {path}: datasets)")
        if not isinstance(changes, dict):
            raise ConfigError(
                f"{path}: datasets.{other}: expected a mapping of keys to values, got {changes!r}"
            )
    merged = _merge(document, overrides.get(dataset, {}))
    model = _parse(ModelConfig, merged, path).root
    flags = {k: v for k, v in PRESETS[preset][model.kind].items() if getattr(model, k) is None}
    if model.augment and model.train.augmentation is None:
        augmentation = getattr(load_dataset(dataset, root).augmentation, preset)
        flags["train"] = model.train.model_copy(update={"augmentation": augmentation})
    return model.model_copy(update=flags)


def parse_model(document: Mapping[str, Any]) -> AnyModel:
    """Build a model configuration from a resolved document (a rule's params)."""
    return _parse(ModelConfig, document, Path("--params")).root


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _named_file(folder: Path, name: str, what: str) -> Path:
    path = folder / f"{name}.yaml"
    if not NAME.fullmatch(name):
        raise ConfigError(f"{what} {name!r}: a name has lower-case letters, digits and underscores only")
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"{what} {name!r}: there is no {path}; known are {known}")
    return path


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values")
    return document


def _parse(model: type[M], document: Mapping[str, Any], path: Path) -> M:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        lines = [f"{path}: {_key(e['loc'])}: {_reason(e)}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "(top level)"


def _reason(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    return f"{error['msg']} (got {error['input']!r})" if error["type"] != "missing" else "missing"
