"""Where weights come from, as configuration: training here, pretrained, or released by the authors."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from meddiff.config import Config, load_model
from meddiff.config.weights import OFFICIAL_FILES
from meddiff.errors import ConfigError

BASELINES = 7


@pytest.fixture
def folder(root, tmp_path) -> Path:
    """A copy of the shipped configuration, with an experiment of what is trained on each dataset."""
    folder = shutil.copytree(root / "config", tmp_path / "config")
    paper = yaml.safe_load((folder / "experiments/paper.yaml").read_text())
    models = [m for m in paper["models"] if not m.startswith("stable_diffusion")]
    (folder / "experiments/trained.yaml").write_text(yaml.safe_dump({**paper, "models": models}))
    return folder


@pytest.fixture
def edit(folder):
    """Set top-level keys of a file."""

    def set_keys(name: str, **keys: Any) -> None:
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **keys}))
        load_model.cache_clear()

    return set_keys


def read(folder: Path, **top: Any) -> Config:
    return Config({"experiment": "trained", **top}, folder)


def test_released_weights_have_results_and_shapes_of_their_own(folder):
    trained, official = read(folder), read(folder, weights="official")
    assert (trained.results_name, official.results_name) == ("trained", "trained-official")
    assert trained.experiment.preset == official.experiment.preset == "fixed"
    assert official.model("dit_b4", "isic").label_table_size == 1000
    assert official.model("vit_base_patch16_224", "isic").image_size == 224
    assert official.model("resnet50", "isic").normalisation == "half"
    assert trained.model("dit_b4", "isic").label_table_size == 0
    assert trained.model("vit_base_patch16_224", "isic").image_size is None


def test_experiment_asks_for_them_and_the_command_line_has_the_last_word(folder, edit):
    edit("experiments/trained", weights="official")
    assert read(folder).official_weights
    assert not read(folder, weights="train").official_weights
    with pytest.raises(ConfigError, match=r"--config: weights: .*'train' or 'official' \(got 'released'\)"):
        read(folder, weights="released")


def test_model_without_released_weights_is_named(folder):
    with pytest.raises(ConfigError) as caught:
        Config({"experiment": "demo", "weights": "official"}, folder)
    text = str(caught.value)
    assert "no weights of tiny_resnet for phantom_chest" in text
    assert f"{folder}/models/tiny_resnet.yaml" in text and "weights=train" in text


def test_kinds_of_all_releases(folder):
    releases = read(folder, weights="official").weights.releases()
    kinds = sorted(releases.values())
    assert (kinds.count("timm"), kinds.count("unet"), kinds.count("dit")) == (2 * BASELINES, 2, 2)


def test_the_papers_experiment_runs_from_released_weights_alone(folder):
    """What is not trained needs no release; one pipeline serves both datasets."""
    config = Config({"experiment": "paper", "weights": "official"}, folder)
    assert "stable_diffusion_zero_shot" in config.experiment.models
    assert config.weights.releases()["stable-diffusion"] == "stable_diffusion"
    assert len(config.weights.releases()) == 2 * (BASELINES + 2) + 1


def test_folders_by_config_or_environment(folder, monkeypatch):
    weights = read(folder).weights
    assert weights.official_folder() == OFFICIAL_FILES
    assert weights.pretrained_folder("resnet18") == weights.pretrained_dir("resnet18")
    monkeypatch.setenv("MEDDIFF_OFFICIAL_WEIGHTS", "/from/environment")
    monkeypatch.setenv("MEDDIFF_PRETRAINED_RESNET18", "/net")
    assert read(folder).weights.official_folder() == "/from/environment"
    assert read(folder).weights.pretrained_folder("resnet18") == "/net"
    assert read(folder, official_weights="/mine").weights.official_folder() == "/mine"
    assert read(folder, pretrained_resnet18="/other").weights.pretrained_folder("resnet18") == "/other"


def test_only_models_with_pretrained_weights_have_a_key(folder):
    with pytest.raises(ConfigError, match=r"pretrained_unet: unknown key; known are .*pretrained_resnet18"):
        read(folder, pretrained_unet="/x")


def test_pretrained_weights_are_the_same_on_all_datasets_or_absent(folder, edit):
    other = {"repo": "timm/other", "files": ["model.safetensors"]}
    edit("models/resnet18", datasets={"isic": {"pretrained": None}})
    assert read(folder).weights.pretrained("resnet18").repo == "timm/resnet18.tv_in1k"
    edit("models/resnet50", datasets={"isic": {"pretrained": other}})
    with pytest.raises(ConfigError, match=r"models/resnet50\.yaml: pretrained: differs between the datasets"):
        read(folder)


def test_place_in_the_release_is_no_setting_of_training(folder, edit):
    before = read(folder)
    trained, shown = before.training_model("unet", "isic"), before.model("unet", "isic")
    edit("models/unet", released={"isic": "elsewhere", "chexpert": "there"})
    assert read(folder).model("unet", "isic") != shown
    assert read(folder).training_model("unet", "isic") == trained


def test_overrides_of_a_preset(folder, edit):
    edit("models/unet", presets={"official": {"train": {"lr": 0.5}, "image_size": 64}})
    edit("models/dit_b4", presets={"official": {"image_size": 64}}, datasets={"isic": {"image_size": 32}})
    assert load_model("unet", "isic", "fixed", folder).train.lr == 1e-4
    official = load_model("unet", "isic", "official", folder)
    assert (official.train.lr, official.train.epochs, official.image_size) == (0.5, 700, 64)
    assert load_model("dit_b4", "isic", "official", folder).image_size == 32  # the dataset's wins


@pytest.mark.parametrize(
    ("presets", "reason"),
    [
        ({"offical": {}}, "presets.offical: unknown key; known are fixed, official"),
        (["official"], "presets: expected a mapping"),
        ({"official": None}, "presets: expected a mapping"),
        ({"fixed": {"colour": 1}}, "colour: unknown key"),
    ],
)
def test_wrong_overrides_of_a_preset(folder, edit, presets, reason):
    edit("models/unet", presets=presets)
    with pytest.raises(ConfigError) as caught:
        load_model("unet", "isic", "fixed", folder)
    assert str(folder / "models/unet.yaml") in str(caught.value) and reason in str(caught.value)
