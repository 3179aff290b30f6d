"""Read configuration files, apply overrides and presets, and report errors with file and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from meddiff.config.container import CONTAINER_KEY, image_of
from meddiff.config.data_places import DataPlaces
from meddiff.config.datasets.elsewhere import check_elsewhere, named_datasets
from meddiff.config.datasets.folds import folds_of, keys_of, unfold, whole
from meddiff.config.datasets.pretraining import check_pretraining, names_of, on_dataset, pretraining_runs
from meddiff.config.decisions import Decisions
from meddiff.config.file_names import named_file
from meddiff.config.presets import PRESETS, open_flags
from meddiff.config.prevalence import PREVALENCE_KEY, prevalences
from meddiff.config.published import check_published, published_values
from meddiff.config.reasons import lines_of
from meddiff.config.schema.augmentation import Augmentation
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.experiment import ExperimentConfig
from meddiff.config.schema.kinds.stable_diffusion import StableDiffusionConfig
from meddiff.config.schema.model import AnyModel, ModelConfig
from meddiff.config.weights import WeightSources
from meddiff.config.yaml_file import read_yaml
from meddiff.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


class Config:
    """All configuration of one run, resolved.

    Attributes:
        name: the experiment's name (its file's stem).
        experiment: the experiment.
        datasets: name -> dataset that models are trained on, in the experiment's order.
        every_dataset: these, and those that models are only tested or pretrained on. Each fold is a dataset.
        on_disk: the same as they lie on disk: all folds of a dataset are one there.
        folds: dataset -> its folds, of those that have some.
        pretraining: trainings whose weights others begin from.
        places: where their images and official splits lie.
        container: the image for jobs in containers.
        weights: pretrained and released weights.
        prevalence: dataset -> class -> share, for the datasets where probabilities are for another mix than
            that of the validation split.
        decisions: what the user said about published models that would change.
    """

    def __init__(self, top: Mapping[str, Any], root: Path = Path("config")) -> None:
        """Read the experiment that `top` (the workflow's config dictionary) names.

        Raises:
            ConfigError: naming the file and key, for anything unknown, missing or impossible.
        """
        self.root = root
        self.name = str(top.get("experiment", ""))
        self.container = image_of(top)
        path = named_file(root / "experiments", self.name, "experiment")
        self.experiment = _parse(ExperimentConfig, read_yaml(path), path)
        self._own_preset = self.experiment.preset
        if changes := {key: top[key] for key in ("preset", "weights") if key in top}:
            self.experiment = _parse(
                ExperimentConfig,
                {**self.experiment.model_dump(exclude_unset=True), **changes},
                Path("--config"),
            )
        if self.official_weights and top.get("preset", "official") != "official":
            raise ConfigError(
                f"--config preset={top['preset']}: released weights only fit the preset official"
            )
        self.pretraining = [] if self.official_weights else pretraining_runs(self)
        needed = [*named_datasets(self.experiment), *(run.dataset for run in self.pretraining)]
        named = {name: load_dataset(name, root) for name in needed}
        self.places = DataPlaces(named, top)
        self.on_disk = self.every_dataset = self.places.datasets
        self.folds = folds_of(self.on_disk, top)
        self.datasets = {name: self.every_dataset[name] for name in self.experiment.datasets}
        check_elsewhere(self)
        check_pretraining(self)
        self.weights = WeightSources(self, top)
        self._check_keys(top)
        for run in self.pretraining:
            self._check_model(run.model, run.dataset)
        for model in self.experiment.models:
            for dataset in self.experiment.datasets:
                self._check_model(model, dataset)
                if self.official_weights and self.model(model, dataset).train:
                    self.weights.released(model, dataset)
            if getattr(self.model(model, next(iter(self.datasets))), "train_on", None) == "joint":
                self.joint_model(model)
        self._check_counterfactuals(path)
        check_published(self)
        self.prevalence = prevalences(self.experiment, path, self.datasets, top)
        unfold(self)
        self.decisions = Decisions(top, self.trained_runs())

    @property
    def known_datasets(self) -> dict[str, DatasetConfig]:
        """All datasets and, by the names of their files, those that folds are of."""
        return {**self.on_disk, **self.every_dataset}

    def _check_model(self, name: str, dataset: str) -> None:
        model, data = self.model(name, dataset), self.every_dataset[dataset]
        if problems := model.problems_with(data, list(self.datasets)):
            path = self.root / "models" / f"{name}.yaml"
            raise ConfigError("\n".join(f"{path}: {problem} (on {dataset})" for problem in problems))

    def trained_pairs(self) -> list[tuple[str, str]]:
        """Every model with each dataset that it is used on, and what these begin from."""
        used = [(model, dataset) for model in self.experiment.models for dataset in self.datasets]
        return list(dict.fromkeys([*used, *((run.model, run.dataset) for run in self.pretraining)]))

    def every_model(self) -> list[str]:
        """The experiment's models, and those that they begin from."""
        return list(dict.fromkeys(model for model, _ in self.trained_pairs()))

    def trained_runs(self) -> list[str]:
        """The runs that are trained here, each ``<dataset>/<model>/seed<k>`` or ``joint/<model>/seed<k>``."""
        runs = dict.fromkeys(names_of(self.pretraining))
        for name in () if self.official_weights else self.experiment.models:
            for dataset in self.datasets:
                model = self.model(name, dataset)
                if model.train is not None:
                    where = "joint" if getattr(model, "train_on", None) == "joint" else dataset
                    runs |= dict.fromkeys(f"{where}/{name}/seed{seed}" for seed in self.experiment.seeds)
        return list(runs)

    def _check_counterfactuals(self, path: Path) -> None:
        settings = self.experiment.counterfactuals
        if settings is None:
            return
        first = next(iter(self.datasets))
        families = {model: self.model(model, first).family for model in self.experiment.models}
        diffusion = [model for model, family in families.items() if family == "diffusion"]
        problems = settings.problems(diffusion, [model for model in families if model not in diffusion])
        if problems:
            raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems))

    @property
    def official_weights(self) -> bool:
        """Whether the authors' released weights are used instead of weights trained here."""
        return self.experiment.weights == "official"

    @property
    def results_name(self) -> str:
        """Folder below ``results``: the experiment's.

        Weights not trained here get one of their own, and so does another preset than the experiment's:
        results of two presets are never mixed.
        """
        if self.official_weights:
            return f"{self.name}-official"
        own = self.experiment.preset == self._own_preset
        return self.name if own else f"{self.name}-preset-{self.experiment.preset}"

    @staticmethod
    def entries(results_name: str) -> str:
        """What is given to ``--config`` for the results in a folder: the inverse of `results_name`."""
        name, _, preset = results_name.partition("-preset-")
        official = name.endswith("-official")
        chosen = [f"preset={preset}"] * bool(preset) + ["weights=official"] * official
        return " ".join([f"experiment={name.removesuffix('-official')}", *chosen])

    @property
    def preset(self) -> str:
        """The preset that models take: released weights only fit the shapes and inputs of ``official``."""
        return "official" if self.official_weights else self.experiment.preset

    def model(self, model: str, dataset: str) -> AnyModel:
        """The configuration of `model` on `dataset`: overrides and preset applied."""
        return load_model(model, whole(dataset), self.preset, self.root)

    def training_model(self, model: str, dataset: str) -> AnyModel:
        """`model` without what its weights do not depend on (names), so that renaming retrains nothing."""
        return self.model(model, dataset).model_copy(
            update={"title": model, "published": None, "released": {}}
        )

    def joint_model(self, model: str) -> StableDiffusionConfig:
        """The configuration of one `model` trained on all datasets: the classes of all of them in turn.

        Raises:
            ConfigError: if the datasets' overrides make it different models.
        """
        single = [self.training_model(model, dataset) for dataset in self.datasets]
        same = [m.model_copy(update={"prompts": None}) for m in single]
        if any(m != same[0] for m in same):
            raise ConfigError(
                f"{self.root}/models/{model}.yaml: one model is trained on all datasets (train_on: joint), "
                f"but its settings differ between {', '.join(self.datasets)} (overrides, or augmentation)"
            )
        prompts = [prompt for m in single for prompt in m.prompts]
        return single[0].model_copy(update={"prompts": prompts})

    def published(self, part: str) -> dict[str, Any] | None:
        """The paper's values for one table or figure, see `meddiff.config.published.published_values`."""
        return published_values(self, part)

    def _check_keys(self, top: Mapping[str, Any]) -> None:
        known = ["experiment", "preset", "weights", *self.weights.keys, *self.places.keys, *Decisions.keys]
        known += [CONTAINER_KEY, PREVALENCE_KEY, *keys_of(self.folds)]
        for key in top:
            if key not in known:
                raise ConfigError(f"--config {key}: unknown key; known are {', '.join(known)}")


def top_level(entries: Iterable[str], root: Path = Path("config")) -> dict[str, Any]:
    """The workflow's config dictionary, as ``snakemake --config`` would make it.

    Args:
        entries: ``KEY=VALUE``, over what ``config.yaml`` says.
        root: folder of the configuration.

    Raises:
        ConfigError: if an entry has no ``=``, or this is not the folder of the workflow.
    """
    path = root / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file here; go where the Snakefile is")
    top = read_yaml(path)
    for entry in entries:
        key, separator, value = entry.partition("=")
        if not separator:
            raise ConfigError(f"--config {entry}: expected KEY=VALUE")
        top[key] = value
    return top


@cache
def load_dataset(name: str, root: Path = Path("config")) -> DatasetConfig:
    """Read ``<root>/datasets/<name>.yaml``."""
    path = named_file(root / "datasets", name, "dataset")
    return _parse(DatasetConfig, read_yaml(path), path)


@cache
def load_model(name: str, dataset: str, preset: str, root: Path = Path("config")) -> AnyModel:
    """Read ``<root>/models/<name>.yaml`` as it applies to `dataset`.

    The document's ``presets: {<preset>: {...}}`` and then ``datasets: {<dataset>: {...}}`` are merged over
    the rest, key by key; then `preset` fills in the flags that are still open.
    """
    path = named_file(root / "models", name, "model")
    document = read_yaml(path)
    overrides = document.pop("datasets", {})
    if not isinstance(overrides, dict):
        raise ConfigError(f"{path}: datasets: expected a mapping of dataset names to overrides")
    for other, changes in overrides.items():
        named_file(root / "datasets", str(other), f"dataset (in {path}: datasets)")
        if not isinstance(changes, dict):
            raise ConfigError(
                f"{path}: datasets.{other}: expected a mapping of keys to values, got {changes!r}"
            )
    by_preset = document.pop("presets", {})
    if not isinstance(by_preset, dict) or not all(isinstance(c, dict) for c in by_preset.values()):
        raise ConfigError(f"{path}: presets: expected a mapping of presets to overrides")
    if unknown := sorted(set(by_preset) - set(PRESETS)):
        raise ConfigError(f"{path}: presets.{unknown[0]}: unknown key; known are {', '.join(PRESETS)}")
    merged = _merge(_merge(document, by_preset.get(preset, {})), overrides.get(dataset, {}))
    model = _parse(ModelConfig, merged, path).root
    flags = open_flags(model, preset)
    if flags.get("augment", model.augment) and model.train.augmentation is None:
        augmentation = getattr(load_dataset(dataset, root).augmentation, preset)
        # One that changes nothing is none: the same training, and in a joint model the same on all datasets.
        if augmentation != Augmentation():
            flags["train"] = model.train.model_copy(update={"augmentation": augmentation})
    flags |= on_dataset(name, model.model_copy(update=flags), dataset, load_dataset(dataset, root))
    if "prompts" in type(model).model_fields and model.prompts is None:
        classes = load_dataset(dataset, root).classes
        flags["prompts"] = [one.prompt or one.name for one in classes]
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


def _parse(model: type[M], document: Mapping[str, Any], path: Path) -> M:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in lines_of(error))) from error
