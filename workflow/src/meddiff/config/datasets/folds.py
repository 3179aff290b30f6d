"""Datasets with folds: the rest of the workflow sees one dataset a fold.

The fold ``eyes-fold2`` of ``eyes`` has splits, stores and results of its own. The images on disk, and the
list of them, are those of ``eyes``. No file of a user's has such a name, since names have no dash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meddiff.config.schema.data.split import FoldsSplit
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.pretrained import GeneratedPretrained
from meddiff.errors import ConfigError

if TYPE_CHECKING:
    from meddiff.config.load import Config

FOLDS_KEY = "folds_"
_FOLD = re.compile(r"-fold(\d+)")


@dataclass(frozen=True)
class Folds:
    """The folds of one dataset that an experiment has.

    Attributes:
        numbers: of these folds, counted from 1.
        split: how they are drawn.
    """

    numbers: tuple[int, ...]
    split: FoldsSplit

    def names(self, dataset: str) -> list[str]:
        """What the folds of `dataset` are called."""
        return [fold_name(dataset, number) for number in self.numbers]


def fold_name(dataset: str, number: int) -> str:
    """What a fold of a dataset is called."""
    return f"{dataset}-fold{number}"


def whole(name: str) -> str:
    """The dataset that a fold is of, or the pair of datasets that one of a fold is of; others as they are."""
    return _FOLD.sub("", name)


def fold_number(name: str) -> int | None:
    """Number of a fold, or of a pair of a fold and another dataset; None where it is no fold."""
    found = _FOLD.search(name)
    return None if found is None else int(found[1])


def other_datasets(dataset: str, names: Sequence[str]) -> list[str]:
    """Those of `names` with other images than `dataset`; of another one's folds only the first."""
    first = {whole(name): name for name in reversed(names)}
    return [name for name in names if name == first[whole(name)] and whole(name) != whole(dataset)]


def folds_of(datasets: Mapping[str, DatasetConfig], top: Mapping[str, Any]) -> dict[str, Folds]:
    """Dataset -> its folds, of the `datasets` that have some.

    ``--config folds_<dataset>=1,2`` in `top` (the workflow's config dictionary) leaves the other folds out.

    Raises:
        ConfigError: if there is no such fold.
    """
    found = {}
    for name, dataset in datasets.items():
        if isinstance(dataset.split, FoldsSplit) and dataset.split.fold is None:
            every = tuple(range(1, dataset.split.folds + 1))
            given = top.get(FOLDS_KEY + name)
            found[name] = Folds(every if given is None else _listed(name, str(given), every), dataset.split)
    return found


def keys_of(folds: Iterable[str]) -> list[str]:
    """The keys that datasets with `folds` allow on the command line."""
    return [FOLDS_KEY + name for name in folds]


def _listed(name: str, text: str, every: tuple[int, ...]) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    numbers = sorted({int(part) for part in parts if part.isdecimal()})
    if len(numbers) != len(parts) or not set(numbers) <= set(every):
        raise ConfigError(
            f"--config {FOLDS_KEY}{name}: expected numbers of folds from 1 to {len(every)}, each once, such "
            f"as {FOLDS_KEY}{name}=1,2; got {text!r}"
        )
    return tuple(numbers)


def unfolded(datasets: Mapping[str, DatasetConfig], folds: Mapping[str, Folds]) -> dict[str, DatasetConfig]:
    """`datasets` with one dataset a fold in the place of each that has folds."""
    found = {}
    for name, dataset in datasets.items():
        if name not in folds:
            found[name] = dataset
            continue
        for number in folds[name].numbers:
            split = folds[name].split.model_copy(update={"fold": number})
            title = f"{dataset.title}, fold {number} of {split.folds}"
            found[fold_name(name, number)] = dataset.model_copy(update={"split": split, "title": title})
    return found


def of_each_fold(values: Mapping[str, Any], folds: Mapping[str, Folds]) -> dict[str, Any]:
    """What is said of datasets, said of each of their folds."""
    return {
        fold: value
        for name, value in values.items()
        for fold in (folds[name].names(name) if name in folds else [name])
    }


def unfold(config: Config) -> None:
    """Give folds the place of their dataset, once all that the user says has been checked as it was said.

    Raises:
        ConfigError: if something mixes the folds of a dataset; it names the key, and what to write instead.
    """
    if not (folds := config.folds):
        return
    _check(config, folds)
    names = of_each_fold(dict.fromkeys(config.experiment.datasets), folds)
    config.experiment = config.experiment.model_copy(
        update={"datasets": list(names), "test_on": of_each_fold(config.experiment.test_on, folds)}
    )
    config.every_dataset = unfolded(config.every_dataset, folds)
    config.datasets = unfolded(config.datasets, folds)
    config.prevalence = of_each_fold(config.prevalence, folds)


def _check(config: Config, folds: Mapping[str, Folds]) -> None:
    name = next(iter(folds))
    file = f"{config.root}/datasets/{name}.yaml: split.kind: folds"
    if config.official_weights:
        raise ConfigError(
            f"{file}: released weights were trained on images that folds test; use weights=train, or take "
            "the published splits"
        )
    for trained_on, others in config.experiment.test_on.items():
        for other in others:
            if other in folds:
                number = folds[other].split.folds
                raise ConfigError(
                    f"{config.root}/experiments/{config.name}.yaml: test_on.{trained_on}.{other}: it has "
                    f"{number} test splits, one a fold; say which in {config.root}/datasets/{other}.yaml: "
                    f"`split: {{kind: folds, folds: {number}, fold: 1}}`, or `split: {{kind: recipe}}`"
                )
    for model in config.experiment.models:
        of_model = config.model(model, name)
        path = f"{config.root}/models/{model}.yaml"
        if getattr(of_model, "train_on", None) == "joint":
            raise ConfigError(
                f"{path}: train_on: joint: one model of all datasets would be trained on images that other "
                f"folds of {name} test; use `train_on: dataset`, or `split: {{kind: recipe}}` in {file}"
            )
        pretrained = getattr(of_model, "pretrained", None)
        if isinstance(pretrained, GeneratedPretrained) and set(pretrained.datasets) & set(folds):
            raise ConfigError(
                f"{path}: pretrained.datasets: an autoencoder fit to {name} would have seen images that some "
                "folds test; name a dataset without folds"
            )
