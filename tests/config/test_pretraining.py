"""Trainings that begin from another training of the experiment, as configuration."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from config_files import FILES, UNET, changed

from meddiff.config import Config
from meddiff.errors import ConfigError
from meddiff.pipeline.experiment import Experiment
from meddiff.pipeline.outputs import Outputs
from meddiff.pipeline.training import Training, pretraining_runs

POOL = {
    **FILES["datasets/eyes"],
    "title": "Eyes without labels",
    "format": {"kind": "table", "csv": "images.csv", "image_column": "file"},
    "classes": [{"name": "image"}],
}
EXPERIMENT = {"title": "Trial", "datasets": ["eyes"], "models": ["unet"], "seeds": [0, 1]}
BEGINS = changed(FILES["models/unet"], "pretrained", {"dataset": "pool"})


def write(folder: Path, **files: Any) -> Path:
    """Write the configuration of an experiment that pretrains; `files` replace or add (``models/unet``)."""
    documents = {
        "datasets/eyes": FILES["datasets/eyes"],
        "datasets/pool": POOL,
        "models/unet": BEGINS,
        "models/dit": FILES["models/dit"],
        "models/resnet": FILES["models/resnet"],
        "experiments/trial": EXPERIMENT,
        **files,
    }
    for name, document in documents.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder


def read(folder: Path, **files: Any) -> Config:
    return Config({"experiment": "trial"}, write(folder, **files))


def refused(folder: Path, **files: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, **files)
    return str(caught.value).replace(f"{folder}/", "")


def wildcards(dataset: str, model: str = "unet", seed: int = 0) -> SimpleNamespace:
    return SimpleNamespace(dataset=dataset, model=model, seed=str(seed))


def test_the_training_that_it_begins_from_is_one_of_the_experiment(tmp_path):
    config = read(tmp_path)
    assert [run.model_dump() for run in config.pretraining] == [
        {"dataset": "pool", "model": "unet", "seed": 0}
    ]
    assert config.trained_runs() == ["pool/unet/seed0", "eyes/unet/seed0", "eyes/unet/seed1"]
    assert list(config.datasets) == ["eyes"] and list(config.every_dataset) == ["eyes", "pool"]
    assert "root_pool" in config.places.keys
    weights = Outputs(Experiment(config)).weights()
    assert "results/trial/pool/unet/seed0/weights/model.safetensors" in weights
    assert "data/pool/store/16/manifest.json" in Outputs(Experiment(config)).datasets()


def test_it_is_not_scored(tmp_path):
    experiment = Experiment(read(tmp_path))
    assert {run.dataset for run in experiment.decided_runs()} == {"eyes"}
    assert not [path for path in Outputs(experiment).predictions() if "/pool/" in path]


def test_every_seed_begins_from_its_weights(tmp_path):
    training = Training(Experiment(read(tmp_path)))
    for seed in (0, 1):
        of = wildcards("eyes", seed=seed)
        assert training.pretrained(of) == ["results/trial/pool/unet/seed0/weights/model.safetensors"]
        assert training.pretrained_option(of) == ["--pretrained", "results/trial/pool/unet/seed0/weights"]
        assert any(path.endswith("weights/own_run.py") for path in training.code(of))


def test_a_model_does_not_begin_from_itself(tmp_path):
    """Of one file for both, the key says nothing on the dataset that is pretrained on."""
    training = Training(Experiment(read(tmp_path)))
    assert training.pretrained(wildcards("pool")) == []
    assert "pretrained" not in training.settings(wildcards("pool"))


def test_without_the_key_trainings_depend_on_what_they_did(tmp_path):
    """A key that is not given is in no params, and its module in no list of code."""
    config = read(tmp_path, **{"models/unet": FILES["models/unet"]})
    training = Training(Experiment(config))
    assert config.pretraining == []
    for model in ("unet", "dit"):
        assert "pretrained" not in training.settings(wildcards("eyes", model))
    assert not any("own_run" in path for path in training.code(wildcards("eyes")))


def test_one_class_is_trained_to_the_last_step(tmp_path):
    config = read(tmp_path)
    assert config.model("unet", "pool").train.select == "last"
    assert config.model("unet", "eyes").train.select == "best_f1"


def test_one_that_is_used_itself_is_trained_once(tmp_path):
    """A training that others begin from may be one that is scored, too."""
    tuned = changed(FILES["models/unet"], "pretrained", {"dataset": "eyes", "model": "unet", "seed": 1})
    files = {
        "datasets/other": {**FILES["datasets/eyes"], "title": "Other"},
        "models/unet": FILES["models/unet"],
        "models/tuned": changed(tuned, "datasets", {"eyes": {"pretrained": None}}),
        "experiments/trial": {**EXPERIMENT, "datasets": ["eyes", "other"], "models": ["unet", "tuned"]},
    }
    config = read(tmp_path, **files)
    experiment = Experiment(config)
    assert pretraining_runs(experiment) == []
    assert config.trained_runs().count("eyes/unet/seed1") == 1
    of = wildcards("other", "tuned")
    assert Training(experiment).pretrained(of) == ["results/trial/eyes/unet/seed1/weights/model.safetensors"]
    assert Training(experiment).pretrained(wildcards("eyes", "tuned")) == []


def test_a_training_may_begin_from_one_that_begins_from_one(tmp_path):
    middle = changed(BEGINS, "title", "Middle")
    files = {
        "datasets/other": {**FILES["datasets/eyes"], "title": "Other"},
        "models/middle": changed(middle, "pretrained", {"dataset": "pool", "model": "unet"}),
        "models/unet": changed(
            changed(FILES["models/unet"], "pretrained", {"dataset": "other", "model": "middle"}),
            "datasets",
            {"pool": {"pretrained": None}},
        ),
    }
    config = read(tmp_path, **files)
    assert config.trained_runs()[:2] == ["pool/unet/seed0", "other/middle/seed0"]
    assert config.every_model() == ["unet", "middle"]


def test_every_fold_begins_from_the_same_weights(tmp_path):
    eyes = {**FILES["datasets/eyes"], "split": {"kind": "folds", "folds": 3}}
    config = read(tmp_path, **{"datasets/eyes": eyes})
    assert config.trained_runs()[:2] == ["pool/unet/seed0", "eyes-fold1/unet/seed0"]
    training = Training(Experiment(config))
    assert training.pretrained(wildcards("eyes-fold2")) == [
        "results/trial/pool/unet/seed0/weights/model.safetensors"
    ]


def test_released_weights_begin_from_nothing(tmp_path):
    files = {"models/unet": {**BEGINS, "released": {"eyes": "unet/eyes"}}}
    write(tmp_path, **files, **{"experiments/trial": {**EXPERIMENT, "weights": "official"}})
    config = Config({"experiment": "trial"}, tmp_path)
    assert config.pretraining == [] and list(config.every_dataset) == ["eyes"]


def test_a_baseline_begins_from_fetched_files_and_then_from_a_training(tmp_path):
    hub = {"repo": "timm/net", "files": ["model.safetensors"]}
    files = {
        "datasets/other": {**FILES["datasets/eyes"], "title": "Other"},
        "models/first": {**FILES["models/resnet"], "pretrained": hub},
        "models/resnet": {
            **FILES["models/resnet"],
            "pretrained": {"dataset": "other", "model": "first"},
        },
        "experiments/trial": {**EXPERIMENT, "models": ["resnet"]},
    }
    config = read(tmp_path, **files)
    training = Training(Experiment(config))
    assert config.weights.keys == ["official_weights", "pretrained_first"]
    assert training.pretrained(wildcards("other", "first")) == ["data/pretrained/first/manifest.json"]
    assert training.pretrained(wildcards("eyes", "resnet")) == [
        "results/trial/other/first/seed0/weights/model.safetensors"
    ]
    assert "data/pretrained/first/manifest.json" in Outputs(Experiment(config)).weights()


def unet(**changes: Any) -> dict[str, Any]:
    """The model that is trained on the pool."""
    return {**deepcopy(FILES["models/unet"]), **changes}


FROM_FIRST = changed(FILES["models/unet"], "pretrained", {"dataset": "pool", "model": "first"})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"experiments/trial": {**EXPERIMENT, "datasets": ["eyes", "pool"]}},
            "experiments/trial.yaml: datasets: pool has one class, and models tell at least two apart; leave "
            "it out here. Models can begin from it: `pretrained: {dataset: pool}`",
        ),
        (
            {"models/unet": changed(BEGINS, "train.select", "best_f1")},
            "models/unet.yaml: train.select: best_f1 tells classes apart, and the dataset has one: say "
            "`datasets: {pool: {train: {select: last}}}` (on pool)",
        ),
        (
            {
                "models/resnet": {**FILES["models/resnet"], "pretrained": {"dataset": "pool"}},
                "experiments/trial": {**EXPERIMENT, "models": ["resnet"]},
            },
            "models/resnet.yaml: a classifier learns nothing from one class",
        ),
        (
            {"datasets/pool": {**POOL, "split": {"kind": "folds", "folds": 3}}},
            "models/unet.yaml: pretrained.dataset: pool has 3 training splits, one a fold; name a dataset",
        ),
        (
            {"datasets/pool": {**POOL, "channels": 3}},
            "models/unet.yaml: pretrained.dataset: images of pool have `channels: 3`, those of eyes 1",
        ),
        (
            {"models/unet": changed(BEGINS, "pretrained.model", "dit")},
            "models/unet.yaml: pretrained.model: dit on pool has `kind: dit`, and this one unet (on eyes)",
        ),
        (
            {"models/unet": FROM_FIRST, "models/first": unet(prediction="epsilon")},
            "pretrained.model: first on pool has `prediction: epsilon`, and this one v_prediction",
        ),
        (
            {"models/unet": FROM_FIRST, "models/first": unet(wavelet=False)},
            "pretrained.model: first on pool has `wavelet: False`, and this one True",
        ),
        (
            # As many numbers, in another order: no shape would tell.
            {
                "models/unet": FROM_FIRST,
                "models/first": unet(architecture={**UNET, "attention_head_dim": 4}),
            },
            "pretrained.model: first on pool has `architecture.attention_head_dim: 4`, and this one 2",
        ),
        (
            {"models/unet": changed(BEGINS, "pretrained.dataset", "pols")},
            "dataset (in models/unet.yaml: pretrained.dataset) 'pols': there is no datasets/pols.yaml",
        ),
        (
            {"models/unet": changed(BEGINS, "pretrained.model", "unett")},
            "model (in models/unet.yaml: pretrained.model) 'unett': there is no models/unett.yaml",
        ),
        ({"models/unet": changed(BEGINS, "pretrained", {"model": "unet"})}, "pretrained.dataset: missing"),
        (
            {
                "models/unet": changed(
                    changed(BEGINS, "pretrained.model", "first"), "datasets", {"pool": {"title": "UNet"}}
                ),
                "models/first": changed(BEGINS, "pretrained.model", "unet"),
            },
            "pretrained: no training can begin from itself: first on pool from unet on pool from first on "
            "pool; leave out one",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_file_and_key(tmp_path, files, message):
    assert message in refused(tmp_path, **files)


def test_what_only_training_has_may_differ(tmp_path):
    first = unet(architecture={**UNET, "dropout": 0.2})
    assert read(tmp_path, **{"models/unet": FROM_FIRST, "models/first": first}).pretraining


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": {**POOL["format"], "label_column": "grade"}}, "leave out label_column and one_hot"),
        ({"classes": [{"name": "a"}, {"name": "b", "value": 1}]}, "classes.0: give value, or values"),
        (
            {"classes": [{"name": "a", "value": 0}]},
            "images without labels have one class without a value: `classes: [{name: image}]`",
        ),
        ({"format": {"kind": "isic"}}, "such as `classes: [{values: [0, 1], name: image}]`"),
    ],
)
def test_a_dataset_says_whether_it_has_labels(tmp_path, changes, message):
    assert message in refused(tmp_path, **{"datasets/pool": {**POOL, **changes}})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"format": {"kind": "folders"}},
        {"format": {"kind": "arrays", "file": "images.npz"}},
        {"format": {**POOL["format"], "label_column": "x"}, "classes": [{"values": [0, 1], "name": "image"}]},
        {"format": {"kind": "isic"}, "classes": [{"values": [0, 1], "name": "image"}]},
    ],
)
def test_datasets_of_one_class(tmp_path, changes):
    config = read(tmp_path, **{"datasets/pool": {**POOL, **changes}})
    assert len(config.every_dataset["pool"].classes) == 1
