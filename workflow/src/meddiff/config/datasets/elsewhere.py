"""Which datasets models are tested on that they were not trained on, and whether that is possible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from meddiff.config.schema.experiment import ExperimentConfig
from meddiff.errors import ConfigError

if TYPE_CHECKING:
    from meddiff.config.load import Config


def named_datasets(experiment: ExperimentConfig) -> list[str]:
    """All datasets of an experiment: those that models are trained on, then those only tested on."""
    tested = [other for others in experiment.test_on.values() for other in others]
    return list(dict.fromkeys([*experiment.datasets, *tested]))


def check_elsewhere(config: Config) -> None:
    """Check that every model can be tested where `test_on` says.

    Raises:
        ConfigError: naming the entry, if it is of a dataset that no model is trained on, or is tested on
            anyway; if images of the two have different channels; if there is no such class; or if a single
            class of the models is left.
    """
    path = f"{config.root}/experiments/{config.name}.yaml"
    if problems := list(_problems(config)):
        raise ConfigError("\n".join(f"{path}: test_on.{problem}" for problem in problems))


def _problems(config: Config) -> Iterator[str]:
    for trained_on, others in config.experiment.test_on.items():
        if trained_on not in config.datasets:
            there = ", ".join(config.datasets)
            yield f"{trained_on}: no model is trained on it; the experiment's datasets are {there}"
            continue
        for tested_on in others:
            if tested_on == trained_on:
                yield f"{trained_on}.{tested_on}: models are tested on this test split anyway; leave it out"
            else:
                for problem in _problems_of_pair(config, trained_on, tested_on):
                    yield f"{trained_on}.{tested_on}{problem}"


def _problems_of_pair(config: Config, trained_on: str, tested_on: str) -> Iterator[str]:
    ours, theirs = config.datasets[trained_on], config.every_dataset[tested_on]
    if ours.channels != theirs.channels:
        yield (
            f": its images have `channels: {theirs.channels}`, and models of {trained_on} take "
            f"{ours.channels}; name a dataset of the same images with `channels: {ours.channels}`"
        )
    classes = config.experiment.test_on[trained_on][tested_on]
    for names, dataset, there in (
        (classes, tested_on, [entry.name for entry in theirs.classes]),
        (classes.values(), trained_on, [entry.name for entry in ours.classes]),
    ):
        for name in dict.fromkeys(names):
            if name not in there:
                yield f": {dataset} has no class {name!r}; its classes are {', '.join(there)}"
    if len(set(classes.values())) < 2:
        yield f": all images would be of one class of {trained_on}; name classes for at least two"
