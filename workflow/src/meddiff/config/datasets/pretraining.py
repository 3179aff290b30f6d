"""Which trainings of an experiment only make the weights that others begin from, and whether they can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from meddiff.config.file_names import named_file
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.pretrained import PretrainingRun
from meddiff.errors import ConfigError

if TYPE_CHECKING:
    from meddiff.config.load import Config
    from meddiff.config.schema.model import AnyModel

# What decides what the numbers in a network mean, beside their names and shapes.
_SAME = ("kind", "wavelet", "prediction", "normalisation")
# Arguments of the libraries that are of the training alone.
_OF_TRAINING = {"dropout", "drop_rate", "drop_path_rate", "proj_drop_rate", "attn_drop_rate"}


def begins_from(model: AnyModel) -> PretrainingRun | None:
    """The training whose weights that of `model` begins from; None where these are random, or fetched."""
    pretrained = getattr(model, "pretrained", None)
    return pretrained if isinstance(pretrained, PretrainingRun) else None


def on_dataset(name: str, model: AnyModel, dataset: str, data: DatasetConfig) -> dict[str, Any]:
    """What a model's file leaves open that a dataset decides.

    A model does not begin from itself, and the only class there is needs no validation.

    Args:
        name: of the model's file.
        model: as its file has it for the dataset.
        dataset: the dataset's name.
        data: the dataset.
    """
    found: dict[str, Any] = {}
    if (run := begins_from(model)) is not None:
        run = run.model_copy(update={"model": run.model or name})
        found["pretrained"] = None if (run.dataset, run.model) == (dataset, name) else run
    train = model.train
    if len(data.classes) == 1 and train is not None and "select" not in train.model_fields_set:
        found["train"] = train.model_copy(update={"select": "last"})
    return found


def pretraining_runs(config: Config) -> list[PretrainingRun]:
    """The trainings that others of the experiment begin from, each before those that begin from it.

    Raises:
        ConfigError: if a training begins, at any remove, from itself.
    """
    found: dict[PretrainingRun, None] = {}

    def follow(model: str, dataset: str, after: tuple[PretrainingRun, ...]) -> None:
        run = begins_from(config.model(model, dataset))
        if run is None:
            return
        path = f"{config.root}/models/{model}.yaml: pretrained"
        named_file(config.root / "models", run.model, f"model (in {path}.model)")
        named_file(config.root / "datasets", run.dataset, f"dataset (in {path}.dataset)")
        if run in after:
            circle = " from ".join(f"{r.model} on {r.dataset}" for r in (*after[after.index(run) :], run))
            raise ConfigError(
                f"{path}: no training can begin from itself: "
                f"{circle}; leave out one, such as `datasets: {{{dataset}: {{pretrained: null}}}}`"
            )
        follow(run.model, run.dataset, (*after, run))
        found.setdefault(run)

    for model in config.experiment.models:
        for dataset in config.experiment.datasets:
            follow(model, dataset, ())
    return list(found)


def names_of(runs: Iterable[PretrainingRun]) -> list[str]:
    """``<dataset>/<model>/seed<k>`` of each."""
    return [f"{run.dataset}/{run.model}/seed{run.seed}" for run in runs]


def check_pretraining(config: Config) -> None:
    """Check that datasets of one class are only pretrained on, and that what begins fits what it begins from.

    Sizes are compared when a run starts, since they need the libraries (`meddiff.weights.own_run`).

    Raises:
        ConfigError: naming file and key.
    """
    experiment = f"{config.root}/experiments/{config.name}.yaml"
    problems = [
        f"{experiment}: datasets: {name} has one class, and models tell at least two apart; leave it out "
        f"here. Models can begin from it: `pretrained: {{dataset: {name}}}` in a model's file"
        for name, dataset in config.datasets.items()
        if len(dataset.classes) == 1
    ]
    for model, dataset in () if config.official_weights else config.trained_pairs():
        path = f"{config.root}/models/{model}.yaml"
        problems += [f"{path}: {problem} (on {dataset})" for problem in _problems(config, model, dataset)]
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))


def _problems(config: Config, name: str, dataset: str) -> Iterator[str]:
    """What is wrong with one training, each with its key."""
    model, data = config.model(name, dataset), config.every_dataset[dataset]
    if len(data.classes) == 1 and model.train is not None:
        if model.train.select == "best_f1":
            yield (
                "train.select: best_f1 tells classes apart, and the dataset has one: say "
                f"`datasets: {{{dataset}: {{train: {{select: last}}}}}}`"
            )
        if model.family != "diffusion":
            yield "a classifier learns nothing from one class; only diffusion models are pretrained so"
    if (run := begins_from(model)) is None:
        return
    if run.dataset in config.folds:
        number = config.folds[run.dataset].split.folds
        yield (
            f"pretrained.dataset: {run.dataset} has {number} training splits, one a fold; name a dataset "
            "with one split, of images that no fold tests"
        )
    before, images = config.model(run.model, run.dataset), config.every_dataset[run.dataset]
    if images.channels != data.channels:
        yield (
            f"pretrained.dataset: images of {run.dataset} have `channels: {images.channels}`, those of "
            f"{dataset} {data.channels}; name a dataset of the same images with `channels: {data.channels}`"
        )
    for key in _SAME:
        ours, theirs = getattr(model, key, None), getattr(before, key, None)
        if ours != theirs:
            yield f"pretrained.model: {run.model} on {run.dataset} has `{key}: {theirs}`, and this one {ours}"
            if key == "kind":
                return
    ours, theirs = (
        {key: value for key, value in of.architecture.items() if key not in _OF_TRAINING}
        for of in (model, before)
    )
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            yield (
                f"pretrained.model: {run.model} on {run.dataset} has `architecture.{key}: {theirs.get(key)}`"
                f", and this one {ours.get(key)}"
            )
