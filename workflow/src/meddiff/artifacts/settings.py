"""What the settings of several artifacts have in common: datasets, models and runs as they are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, model_validator

from meddiff.config.datasets.folds import fold_number, whole
from meddiff.config.schema.strict import Strict
from meddiff.errors import ConfigError
from meddiff.evaluate.folds.means import FoldSet
from meddiff.runs import Run, ScoringRun, TrainedRun, pair, trained_on
from meddiff.text import one_line

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

# What is shown of a name: figures and tables have one line for it.
Line = Annotated[str, AfterValidator(one_line)]
Confidence = Annotated[float, Field(gt=0, lt=1)]
Family = Literal["cnn", "transformer", "diffusion"]

T = TypeVar("T")

DECISION_TITLES: dict[str, str] = {
    "majority": "majority",
    "weighted_votes": "weighted votes",
    "mean": "mean error",
    "weighted_errors": "weighted errors",
    "t_score": "t-score",
    "softmax": "softmax",
}


def decision_title(decision: str) -> str:
    """How a decision rule is called where it is shown."""
    return DECISION_TITLES.get(decision, decision.replace("_", " "))


FAMILY_TITLES: dict[str, str] = {"cnn": "CNN", "transformer": "Transformer", "diffusion": "Diffusion"}


class DatasetEntry(Strict):
    """A dataset as shown."""

    name: str
    title: Line


class ModelEntry(DatasetEntry):
    """A model as shown, in its block of the table."""

    family: Family


class Layout(Strict):
    """Datasets and models in the order in which they are shown."""

    datasets: list[DatasetEntry] = Field(min_length=1)
    models: list[ModelEntry] = Field(min_length=1)
    runs: list[TrainedRun] = Field(min_length=1)
    folds: list[FoldSet] = Field(
        default_factory=list,
        exclude_if=lambda sets: not sets,
        description="of datasets that are shown as the mean of these; where empty, each fold is a dataset",
    )
    preset: Literal["fixed", "official"] | None = Field(
        default=None, description="what was done where the authors' code has a bug; said in every table"
    )
    released: bool = Field(default=False, description="whether the weights are those the authors released")

    @model_validator(mode="after")
    def _runs_are_known_and_distinct(self) -> Layout:
        for kind in ("dataset", "model"):
            known = [entry.name for entry in getattr(self, f"{kind}s")]
            known += [name for one in self.folds for name in one.folds] if kind == "dataset" else []
            for run in self.runs:
                if getattr(run, kind) not in known:
                    raise ValueError(f"runs: {kind} {getattr(run, kind)!r} is not one of {known}")
        if len(set(self.runs)) != len(self.runs):
            raise ValueError("runs: every run must appear once")
        return self

    def dataset_titles(self) -> dict[str, str]:
        """Name -> title."""
        return {entry.name: entry.title for entry in self.datasets}

    def dataset_order(self) -> list[str]:
        """Names of the datasets, and after each that is a mean of folds those of its folds."""
        of_folds = {one.name: one.folds for one in self.folds}
        return [name for entry in self.datasets for name in (entry.name, *of_folds.get(entry.name, ()))]

    def model_titles(self) -> dict[str, str]:
        """Name -> title."""
        return {entry.name: entry.title for entry in self.models}


class ScoredLayout(Layout):
    """A layout of errors."""

    runs: list[ScoringRun] = Field(min_length=1)


class DecidedLayout(Layout):
    """A layout of predictions or metrics."""

    runs: list[Run] = Field(min_length=1)


def layout(
    experiment: Experiment,
    runs: Sequence[TrainedRun],
    datasets: Sequence[str] | None = None,
    *,
    folds: bool = False,
) -> dict[str, Any]:
    """The fields of a `Layout`: the models of `runs`, and all datasets or those named, in their order.

    After each dataset come those that its models were tested on, where `runs` are of them, too. With `folds`
    the folds of a dataset are shown as one, their mean; otherwise each as a dataset.
    """
    shown, config = {run.model for run in runs}, experiment.config
    named = [run.shown() for run in runs]
    there = {run.dataset for run in named}
    models = {name: experiment.any_dataset(name) for name in experiment.models if name in shown}
    entries = [
        {"name": name, "title": title}
        for name, title, own in _test_sets(experiment)
        if (datasets is None or own in datasets) and (name == own or name in there)
    ]
    sets = _fold_sets(experiment, [entry["name"] for entry in entries]) if folds else []
    return {
        "datasets": _shown_as_one(experiment, entries) if sets else entries,
        **({"folds": sets} if sets else {}),
        "models": [{"name": n, "title": model.title, "family": model.family} for n, model in models.items()],
        "runs": named,
        "preset": config.preset,
        "released": config.official_weights,
    }


def _test_sets(experiment: Experiment) -> Iterator[tuple[str, str, str]]:
    """What models are tested on: its name and title, and the dataset trained on."""
    every = experiment.config.every_dataset
    for name, dataset in experiment.config.datasets.items():
        yield name, dataset.title, name
        for other in experiment.settings.test_on.get(name, {}):
            yield pair(name, other), f"{dataset.title} → {every[other].title}", name


def _fold_sets(experiment: Experiment, names: Sequence[str]) -> list[FoldSet]:
    """The folds among `names`, by what their mean is called."""
    found: dict[str, list[str]] = {}
    for name in names:
        if fold_number(name) is not None:
            found.setdefault(whole(name), []).append(name)
    split = {name: experiment.config.datasets[trained_on(of[0])].split for name, of in found.items()}
    return [
        FoldSet(name=name, folds=of, test_per_train=split[name].test / split[name].train)
        for name, of in found.items()
    ]


def _shown_as_one(experiment: Experiment, entries: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Entries of datasets with one entry for all folds of one, which says how many these are."""
    found: dict[str, dict[str, str]] = {}
    for entry in entries:
        name, number = whole(entry["name"]), fold_number(entry["name"])
        if number is None:
            found[name] = dict(entry)
        elif name not in found:
            of = experiment.config.folds[trained_on(name)]
            every, some = f"{of.split.folds} folds", f"the folds {', '.join(map(str, of.numbers))}"
            words = every if len(of.numbers) == of.split.folds else f"{some} of {of.split.folds}"
            title = entry["title"].replace(f", fold {number} of {of.split.folds}", "")
            found[name] = {"name": name, "title": f"{title} (mean of {words})"}
    return list(found.values())


def class_names(experiment: Experiment, *, folds: bool = False) -> dict[str, list[str]]:
    """Dataset -> names of its classes, in order of the class index; elsewhere models keep theirs.

    With `folds` all folds of a dataset have one name, as in `layout`.
    """
    datasets, named = experiment.config.datasets, whole if folds else str
    return {named(name): [c.name for c in datasets[own].classes] for name, _, own in _test_sets(experiment)}


def prevalences(experiment: Experiment, *, folds: bool = False) -> dict[str, dict[str, float]]:
    """Dataset -> class -> share that probabilities are for, where one is said; elsewhere it is the same.

    Args:
        folds: as of `class_names`.
    """
    known, named = experiment.config.prevalence, whole if folds else str
    return {named(name): known[own] for name, _, own in _test_sets(experiment) if own in known}


def each_with(of: Sequence[T], paths: Sequence[Path], name: str, what: str = "run") -> list[tuple[T, Path]]:
    """Each run (or what else `of` has) with its file; files are given in the order of the runs.

    Raises:
        ConfigError: if their numbers differ, with the `name` of the files.
    """
    if len(of) != len(paths):
        raise ConfigError(
            f"--input {name}: got {len(paths)} files for {len(of)} {what}s; give one a {what}, in their order"
        )
    return list(zip(of, paths, strict=True))


def one_file(files: Mapping[str, Sequence[Path]], name: str) -> Path:
    """The only file of a name.

    Raises:
        ConfigError: if there are others.
    """
    if len(files[name]) != 1:
        raise ConfigError(f"--input {name}: got {len(files[name])} files; give one")
    return files[name][0]
