"""A dataset with folds is one dataset a fold to the workflow, and one to the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from config_files import FILES, write_changed

from meddiff.artifacts.settings import DecidedLayout, class_names, layout
from meddiff.config import Config
from meddiff.config.datasets.folds import fold_number, other_datasets, whole
from meddiff.config.load import load_dataset, load_model
from meddiff.errors import ConfigError
from meddiff.pipeline.experiment import Experiment

FOLDS = {"kind": "folds", "folds": 3, "valid": 0.2}
CLINIC = {**FILES["datasets/eyes"], "title": "Clinic", "split": {"kind": "recipe"}}
CLASSES = {"healthy": "healthy", "glaucoma": "glaucoma"}


def config(folder: Path, split: dict[str, Any] = FOLDS, *, on_top: Any = None, **experiment: Any) -> Config:
    write_changed(folder, "datasets/eyes", "split", split)
    (folder / "datasets/clinic.yaml").write_text(yaml.safe_dump(CLINIC))
    models = {"models": ["unet", "dit", "resnet"]}
    (folder / "experiments/trial.yaml").write_text(
        yaml.safe_dump({**FILES["experiments/trial"], **models, **experiment})
    )
    load_dataset.cache_clear()
    load_model.cache_clear()
    return Config({"experiment": "trial", **(on_top or {})}, folder)


def test_each_fold_is_a_dataset_and_all_are_one_on_disk(tmp_path: Path) -> None:
    found = config(tmp_path)
    names = ["eyes-fold1", "eyes-fold2", "eyes-fold3"]
    assert list(found.datasets) == list(found.every_dataset) == found.experiment.datasets == names
    assert list(found.on_disk) == ["eyes"] and list(found.known_datasets) == ["eyes", *names]
    assert [dataset.split.fold for dataset in found.datasets.values()] == [1, 2, 3]
    assert found.datasets["eyes-fold2"].title == "Eyes, fold 2 of 3"
    assert found.trained_runs()[:2] == ["eyes-fold1/unet/seed0", "eyes-fold2/unet/seed0"]
    assert "root_eyes" in found.places.keys and found.places.root("eyes-fold2") == "data/eyes/local"
    experiment = Experiment(found)
    assert experiment.on_disk("eyes-fold3", "table.csv") == "data/eyes/table.csv"
    assert experiment.store("eyes-fold3", "unet") == "data/eyes-fold3/store/16"


def test_what_is_said_of_the_dataset_is_said_of_its_folds(tmp_path: Path) -> None:
    top = {"root_eyes": "/images"}
    found = config(
        tmp_path,
        on_top=top,
        prevalence={"eyes": {"glaucoma": 0.1}},
        test_on={"eyes": {"clinic": CLASSES}},
    )
    assert found.places.root("eyes-fold1") == "/images"
    assert set(found.prevalence) == set(found.datasets)
    assert list(found.experiment.test_on) == list(found.datasets)
    assert list(found.every_dataset) == [*found.datasets, "clinic"]
    path = tmp_path / "models/unet.yaml"
    path.write_text(yaml.safe_dump({**FILES["models/unet"], "datasets": {"eyes": {"label_dropout": 0.5}}}))
    load_model.cache_clear()
    assert found.model("unet", "eyes-fold2").label_dropout == 0.5


def test_some_folds_or_one_alone(tmp_path: Path) -> None:
    assert list(config(tmp_path, on_top={"folds_eyes": "3, 1"}).datasets) == ["eyes-fold1", "eyes-fold3"]
    one = config(tmp_path, {**FOLDS, "fold": 2})
    assert list(one.datasets) == ["eyes"] and one.datasets["eyes"].split.fold == 2 and not one.folds


@pytest.mark.parametrize("text", ["4", "0", "1,1", "", "one", "1;2"])
def test_folds_that_there_are_not(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"folds_eyes: expected numbers of folds from 1 to 3, .*folds_eyes=1,2"
    ):
        config(tmp_path, on_top={"folds_eyes": text})


def test_a_dataset_without_folds_has_no_such_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="folds_eyes: unknown key"):
        config(tmp_path, {"kind": "recipe"}, on_top={"folds_eyes": "1"})


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ({"folds": 1}, "split.folds.folds: Input should be greater than or equal to 2"),
        ({"folds": 2, "valid": 0.5}, "must leave a share for training of the 0.5 of the images"),
        ({"folds": 3, "fold": 4}, r"fold: expected a number from 1 to 3 \(folds\), got 4"),
        ({"test": 0.2}, "split.folds.test: unknown key|Extra inputs are not permitted"),
    ],
)
def test_impossible_folds(tmp_path: Path, split: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config(tmp_path, {"kind": "folds", **split})


def test_what_would_mix_the_folds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"test_on\.clinic\.eyes: it has 3 test splits.*fold: 1"):
        config(tmp_path, datasets=["clinic"], test_on={"clinic": {"eyes": CLASSES}})
    with pytest.raises(ConfigError, match="an autoencoder fit to eyes would have seen images"):
        config(tmp_path, models=["stable"])
    released = {**FILES["models/resnet"], "released": {"eyes": "resnet18"}}
    (tmp_path / "models/released.yaml").write_text(yaml.safe_dump(released))
    with pytest.raises(ConfigError, match="released weights were trained on images that folds test"):
        config(tmp_path, weights="official", models=["released"])
    stable = {**FILES["models/stable"], "train_on": "joint"}
    stable["pretrained"] = {**stable["pretrained"], "datasets": ["clinic"]}
    config(tmp_path)
    (tmp_path / "models/joint.yaml").write_text(yaml.safe_dump(stable))
    with pytest.raises(ConfigError, match=r"use `train_on: dataset`, or `split: \{kind: recipe\}`"):
        config(tmp_path, datasets=["eyes", "clinic"], models=["joint"])


def test_names_of_folds() -> None:
    assert whole("eyes-fold12") == "eyes" and whole("eyes-fold12-on-clinic") == "eyes-on-clinic"
    assert whole("a_fold1") == "a_fold1" and fold_number("a_fold1") is None
    assert fold_number("eyes-fold12-on-clinic") == 12
    names = ["eyes-fold1", "eyes-fold2", "skin", "chest-fold2", "chest-fold3"]
    assert other_datasets("eyes-fold2", names) == ["skin", "chest-fold2"]
    assert other_datasets("skin", names) == ["eyes-fold1", "chest-fold2"]


def test_tables_show_the_folds_as_one_and_others_each(tmp_path: Path) -> None:
    found = Experiment(config(tmp_path, test_on={"eyes": {"clinic": CLASSES}}, datasets=["eyes", "clinic"]))
    runs = found.reported_runs()
    shown = DecidedLayout(**layout(found, runs, folds=True))
    assert shown.dataset_titles() == {
        "eyes": "Eyes (mean of 3 folds)",
        "eyes-on-clinic": "Eyes → Clinic (mean of 3 folds)",
        "clinic": "Clinic",
    }
    folds, pairs = shown.folds
    assert folds.folds == ["eyes-fold1", "eyes-fold2", "eyes-fold3"] and not folds.same_images
    assert pairs.folds[0] == "eyes-fold1-on-clinic" and pairs.same_images
    assert folds.test_per_train == pytest.approx((1 / 3) / (1 - 1 / 3 - 0.2))
    assert shown.dataset_order()[:4] == ["eyes", *folds.folds]
    assert list(class_names(found, folds=True)) == ["eyes", "eyes-on-clinic", "clinic"]
    each = DecidedLayout(**layout(found, runs))
    assert "folds" not in each.model_dump() and each.dataset_titles()["eyes-fold2"] == "Eyes, fold 2 of 3"
    assert each.dataset_titles()["eyes-fold2-on-clinic"] == "Eyes, fold 2 of 3 → Clinic"


def test_a_mean_of_some_folds_says_which(tmp_path: Path) -> None:
    found = Experiment(config(tmp_path, on_top={"folds_eyes": "1,3"}))
    shown = DecidedLayout(**layout(found, found.reported_runs(), folds=True))
    assert shown.dataset_titles() == {"eyes": "Eyes (mean of the folds 1, 3 of 3)"}
