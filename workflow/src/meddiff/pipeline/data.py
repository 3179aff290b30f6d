"""What the rules about datasets take from the configuration, and the files of image stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from meddiff.config.dataset_slices import Slice, slice_of
from meddiff.config.schema.data.split import GivenSplit, OfficialSplit
from meddiff.config.sources import SPLITS
from meddiff.pipeline.experiment import SHIFTED, TEST, Experiment
from meddiff.pipeline.shifts import Shifts
from meddiff.pipeline.wildcards import Wildcards, scoring_run
from meddiff.text import script_safe_json


class Data:
    """What the rules about datasets take from the configuration."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment, self._config = experiment, experiment.config
        self._shifts = Shifts(experiment)

    def settings(self, slice_model: type[Slice]) -> Callable[[Wildcards], str]:
        """A params function: the part of a dataset's configuration that one rule depends on."""
        return lambda wildcards: slice_of(self._config.known_datasets[wildcards.dataset], slice_model)

    def on_disk(self, name: str) -> Callable[[Wildcards], str]:
        """An input function: a file about a dataset's images as they lie on disk, which its folds share."""
        return lambda wildcards: self._experiment.on_disk(wildcards.dataset, name)

    def image_root(self, wildcards: Wildcards) -> str:
        """The folder of a dataset's images: the one the user named, or where the workflow puts them.

        Where a dataset lies changes no result. Rules take it as a resource, which is not tracked: a moved
        folder makes nothing stale, and an edited image does, through the checksums in ``raw.json``.
        """
        return self._config.places.root(wildcards.dataset)

    def splits_root(self, wildcards: Wildcards) -> str:
        """The folder that published split files are looked for in first (a resource, as `image_root`)."""
        return self._config.places.splits_root

    def splits_url(self, wildcards: Wildcards) -> str:
        """The web folder that is asked for published split files last, or ``none`` (a resource, too)."""
        return self._config.known_datasets[wildcards.dataset].split.url or "none"

    def given_splits(self, wildcards: Wildcards) -> list[str]:
        """Split files that the dataset's configuration names, if it does."""
        split = self._config.known_datasets[wildcards.dataset].split
        return [getattr(split, name) for name in SPLITS] if isinstance(split, GivenSplit) else []

    def leak_groups(self, wildcards: Wildcards) -> list[str]:
        """The file of groups that ``leaks:`` of the dataset names, if it does."""
        groups = self._config.every_dataset[wildcards.dataset].leaks.groups
        return [groups.csv] if groups is not None else []

    def official_splits(self, wildcards: Wildcards) -> list[str]:
        """The checked copies of published split files, if the dataset's splits are these."""
        return official_splits(self._experiment, wildcards.dataset)

    def manifest(self, wildcards: Wildcards) -> str:
        """Manifest of the images that a model is used on."""
        return manifest_of(self._used(wildcards))

    def arrays(self, wildcards: Wildcards) -> list[str]:
        """The images behind it."""
        return arrays_of([self._used(wildcards)], (SHIFTED,) if _is_shifted(wildcards) else SPLITS)

    def _used(self, wildcards: Wildcards) -> str:
        """Folder of the images that a model is used on."""
        if _is_shifted(wildcards):
            return self._shifts.store(wildcards.dataset, wildcards.model)
        run = scoring_run(wildcards)
        return self._experiment.store(run.dataset, run.model, run.tested_on)

    def shifted_from(self, wildcards: Wildcards) -> list[str]:
        """Manifests of the stores that shifted images are made from, the dataset's own first."""
        others = self._experiment.other_datasets(wildcards.dataset)
        wanted = "other_datasets" in self._shifts.kinds(wildcards.dataset)
        names = [wildcards.dataset, *(others if wanted else ())]
        return [manifest_of(f"data/{name}/store/{wildcards.size}") for name in names]

    def shifted_arrays(self, wildcards: Wildcards) -> list[str]:
        """The images behind them."""
        return arrays_of(folders_of(self.shifted_from(wildcards)), (TEST,))

    def shift_settings(self, wildcards: Wildcards) -> str:
        """Which shifts, of how many images, and the seed."""
        shifts = self._experiment.settings.shifts
        kinds = self._shifts.kinds(wildcards.dataset)
        return script_safe_json({"kinds": kinds, "images": shifts.images, "seed": shifts.seed})


def _is_shifted(wildcards: Wildcards) -> bool:
    """Whether a job is about shifted images."""
    return SHIFTED in (getattr(wildcards, "split", None), getattr(wildcards, "further", None))


def official_splits(experiment: Experiment, dataset: str) -> list[str]:
    """The checked copies of published split files of a dataset, if its splits are these."""
    published = isinstance(experiment.config.known_datasets[dataset].split, OfficialSplit)
    return [f"data/{dataset}/official/{split}.csv" for split in SPLITS if published]


def manifest_of(folder: str) -> str:
    """Manifest of an image store, or of pretrained weights."""
    return f"{folder}/manifest.json"


def arrays_of(stores: Iterable[str], splits: Sequence[str] = SPLITS) -> list[str]:
    """The images of stores: big files, whose content is judged by the checksums in the manifests."""
    return [f"{store}/{split}.npy" for store in stores for split in splits]


def folders_of(paths: Iterable[str]) -> list[str]:
    """The folder of each file."""
    return [os.path.dirname(path) for path in paths]
