"""Configuration files: the shipped ones, overrides, presets, and messages that say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from meddiff.config import Config, load_dataset, load_model, parse_model
from meddiff.config.presets import PRESETS
from meddiff.config.schema.augmentation import Augmentation, differences_in_words
from meddiff.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2] / "config"
# Flags that the preset sets, by kind.
FLAGS = {
    "unet": {"loss_weight", "augment", "embedding_outside"},
    "dit": {"loss_weight", "augment", "adaln_zero_init", "label_table_size", "block_label_dropout"},
    "stable_diffusion": {"train_geometry"},
    "timm": {"normalisation"},
}
# Flags that a shipped file decides itself, whatever the preset.
DECIDED: dict[tuple[str, str], dict[str, Any]] = {("tiny_unet", "nih_cxr"): {"loss_weight": "official"}}


def names(folder: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / folder).glob("*.yaml"))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("dataset", names("datasets"))
@pytest.mark.parametrize("model", names("models"))
def test_shipped_models_parse_on_every_dataset_under_both_presets(model, dataset, preset):
    config = load_model(model, dataset, preset, ROOT)
    flags = {flag: PRESETS[preset][flag] for flag in FLAGS[config.kind]} | DECIDED.get((model, dataset), {})
    assert {flag: getattr(config, flag) for flag in flags} == flags
    # What a rule gets as params is what the command parses.
    assert parse_model(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("experiment", names("experiments"))
def test_shipped_experiments_parse(experiment):
    config = Config({"experiment": experiment}, ROOT)
    assert config.name == experiment
    assert list(config.datasets) == config.experiment.datasets


def test_default_experiment_is_a_shipped_one():
    assert Config(yaml.safe_load((ROOT / "config.yaml").read_text()), ROOT).name in names("experiments")


def test_presets_have_the_same_flags():
    fixed, official = PRESETS["fixed"], PRESETS["official"]
    assert fixed.keys() == official.keys() == set().union(*FLAGS.values())
    assert all(official[flag] != value for flag, value in fixed.items())


@pytest.mark.parametrize("dataset", names("datasets"))
def test_training_images_of_all_kinds_are_changed_alike_under_the_preset_fixed(dataset):
    """But for Stable Diffusion, which has its own as published."""
    document = yaml.safe_load((ROOT / f"datasets/{dataset}.yaml").read_text()).get("augmentation", {})
    for preset in ("fixed", "official"):
        allowed = Augmentation(**document.get(preset, {}))
        for name in names("models"):
            model = load_model(name, dataset, preset, ROOT)
            if model.train is None or model.kind == "stable_diffusion":
                continue
            nothing = allowed == Augmentation() or (preset == "official" and model.family == "diffusion")
            assert model.train.augmentation == (None if nothing else allowed), (preset, name)


def test_what_is_done_to_training_images_is_said_where_it_differs():
    flips, turns = Augmentation(hflip=0.5), Augmentation(hflip=0.5, rotation=10, blur_sigma=(0.1, 2))
    assert differences_in_words({"A": flips, "B": flips}) is None
    assert differences_in_words({"A": None, "B": Augmentation()}) is None
    words = differences_in_words({"A": turns, "B": None, "C": turns})
    assert words == "A, C: left-right flips, rotation by up to 10 degrees, blur; B: nothing"


DATASET: dict[str, Any] = {
    "title": "One",
    "source": {"kind": "local"},
    "format": {"kind": "isic"},
    "classes": [{"value": 0, "name": "benign"}, {"value": 1, "name": "melanoma"}],
    "image_size": 16,
    "split": {"kind": "recipe"},
}
MODEL: dict[str, Any] = {
    "title": "Net",
    "family": "diffusion",
    "kind": "unet",
    "published": "unet",
    "architecture": {"block_out_channels": [8, 16], "encoder_hid_dim": 8},
    "schedule": {"image_size": 16, "noise_size": 16},
    "train": {"epochs": 5, "lr": 1e-3, "ema": {"beta": 0.9}},
}
EXPERIMENT: dict[str, Any] = {"title": "Trial", "datasets": ["one", "two"], "models": ["net"]}
PUBLISHED = {
    "classification": {"one": {"unet": {"accuracy": 90.0}, "other": {"accuracy": 1.0}}},
    "step_ablation": {"steps": [1, 3], "datasets": {"one": {"unet": {"mean": [1, 2]}}}},
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A configuration folder: datasets one (local) and two (phantom), model net, experiment trial."""
    phantom = {**DATASET, "title": "Two", "source": {"kind": "phantom", "images": 100}}
    files = {
        "datasets/one": DATASET,
        "datasets/two": phantom,
        "models/net": MODEL,
        "experiments/trial": EXPERIMENT,
        "published": PUBLISHED,
    }
    for name, document in files.items():
        write(tmp_path, name, document)
    return tmp_path


def write(folder: Path, name: str, document: Any) -> None:
    path = folder / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))


def read(folder: Path, **top: Any) -> Config:
    return Config({"experiment": "trial", **top}, folder)


def message(folder: Path, **top: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, **top)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "document", "key", "reason"),
    [
        ("experiments/trial", {**EXPERIMENT, "sead": 1}, "sead", "unknown key"),
        ("experiments/trial", {**EXPERIMENT, "score": {"step": 5}}, "score.step", "unknown key"),
        ("experiments/trial", {**EXPERIMENT, "score": {"steps": 0}}, "score.steps", "got 0"),
        ("experiments/trial", {**EXPERIMENT, "models": ["net", "net"]}, "models", "must appear once"),
        ("experiments/trial", {**EXPERIMENT, "preset": "paper"}, "preset", "'fixed' or 'official'"),
        ("experiments/trial", {"title": "x", "models": ["net"]}, "datasets", "missing"),
        ("datasets/two", {**DATASET, "image_sise": 3}, "image_sise", "unknown key"),
        (
            "datasets/two",
            {**DATASET, "source": {"kind": "local", "root": "x"}},
            "source.local.root",
            "unknown key",
        ),
        ("datasets/two", {**DATASET, "classes": []}, "classes", "at least 1"),
        (
            "datasets/two",
            {**DATASET, "classes": DATASET["classes"][:1] * 2},
            "(top level)",
            "must be different",
        ),
        ("models/net", {**MODEL, "colour": 1}, "unet.colour", "unknown key"),
        (
            "models/net",
            {**MODEL, "train": {"epochs": 1, "momentum": 0.9}},
            "unet.train.momentum",
            "unknown key",
        ),
        ("models/net", {**MODEL, "kind": "gan"}, "(top level)", "gan"),
        ("models/net", {**MODEL, "train": {}}, "unet.train", "either epochs or steps"),
        ("models/net", {**MODEL, "datasets": {"one": {"train": {"lr": -1}}}}, "unet.train.lr", "got -1"),
        ("models/net", {**MODEL, "datasets": {"one": {"kidn": "dit"}}}, "unet.kidn", "unknown key"),
        ("models/net", {**MODEL, "datasets": {"one": None}}, "datasets.one", "expected a mapping"),
        ("models/net", {**MODEL, "datasets": ["one"]}, "datasets", "expected a mapping"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(folder, name, document, key, reason):
    write(folder, name, document)
    text = message(folder)
    assert f"{folder / name}.yaml: {key}: " in text
    assert reason in text


def test_all_that_is_wrong_with_a_file_is_said_at_once(folder):
    write(folder, "experiments/trial", {**EXPERIMENT, "sead": 1, "published": "perhaps"})
    assert len(message(folder).splitlines()) == 2


@pytest.mark.parametrize("text", ["title: [", "- a\n- b\n", ""])
def test_files_that_are_no_mapping(folder, text):
    write(folder, "datasets/one", text)
    assert message(folder).startswith(f"{folder / 'datasets/one.yaml'}: ")


def test_names_that_do_not_exist_are_answered_with_those_that_do(folder):
    assert message(folder, experiment="trail").endswith("known are trial")
    assert "experiment ''" in message(folder, experiment="")
    assert "lower-case" in message(folder, experiment="../trial")
    write(folder, "experiments/trial", {**EXPERIMENT, "datasets": ["three"]})
    assert message(folder).endswith("known are one, two")
    write(folder, "experiments/trial", {**EXPERIMENT, "models": ["nets"]})
    assert message(folder).endswith("known are net")


@pytest.mark.parametrize("name", ["three", 3])
def test_override_for_a_dataset_that_does_not_exist(folder, name):
    write(folder, "models/net", {**MODEL, "datasets": {name: {}}})
    assert f"{folder / 'models/net.yaml'}: datasets" in message(folder)


def test_overrides_are_merged_key_by_key_for_their_dataset_only(folder):
    changes = {"title": "Net on two", "train": {"lr": 2e-3, "ema": {"power": 0.5}}, "loss_weight": "official"}
    write(folder, "models/net", {**MODEL, "datasets": {"two": changes}})
    config = read(folder)
    one, two = config.model("net", "one"), config.model("net", "two")
    assert (one.title, one.train.lr, one.train.ema.power, one.loss_weight) == ("Net", 1e-3, 2 / 3, "min_snr")
    assert (two.title, two.train.lr, two.train.ema.power, two.loss_weight) == (
        "Net on two",
        2e-3,
        0.5,
        "official",
    )
    assert two.train.epochs == 5 and two.train.ema.beta == 0.9
    assert two.architecture == one.architecture


def test_preset_fills_only_what_is_open(folder):
    write(folder, "models/net", {**MODEL, "embedding_outside": False})
    write(folder, "experiments/trial", {**EXPERIMENT, "preset": "official"})
    model = read(folder).model("net", "one")
    assert model.loss_weight == "official" and model.embedding_outside is False
    assert not hasattr(model, "adaln_zero_init")  # no flag of a UNet


def test_another_preset_on_the_command_line_has_results_of_its_own(folder):
    own, same, other = read(folder), read(folder, preset="fixed"), read(folder, preset="official")
    assert (own.results_name, same.results_name) == ("trial", "trial")
    assert other.results_name == "trial-preset-official" and other.preset == "official"
    assert (own.model("net", "one").loss_weight, other.model("net", "one").loss_weight) == (
        "min_snr",
        "official",
    )
    write(folder, "experiments/trial", {**EXPERIMENT, "preset": "official"})
    assert read(folder).results_name == read(folder, preset="official").results_name == "trial"
    assert read(folder, preset="fixed").results_name == "trial-preset-fixed"


@pytest.mark.parametrize(
    ("results", "entries"),
    [
        ("trial", "experiment=trial"),
        ("trial-preset-official", "experiment=trial preset=official"),
        ("trial-official", "experiment=trial weights=official"),
    ],
)
def test_what_the_command_line_says_for_the_results_in_a_folder(results, entries):
    assert Config.entries(results) == entries


def test_impossible_presets_on_the_command_line(folder):
    assert "preset: Input should be 'fixed' or 'official'" in message(folder, preset="paper")
    text = message(folder, preset="fixed", weights="official")
    assert "--config preset=fixed: released weights only fit the preset official" in text
    assert "released weights only fit" not in message(folder, preset="official", weights="official")


def test_the_papers_two_experiments_differ_in_the_preset_only(root):
    fixed, official = (Config({"experiment": name}, root / "config") for name in ("paper", "paper_official"))
    assert (fixed.preset, official.preset) == ("fixed", "official")
    shown = {"title", "preset"}
    assert fixed.experiment.model_dump(exclude=shown) == official.experiment.model_dump(exclude=shown)
    assert len({fixed.results_name, official.results_name, "paper-official"}) == 3  # released weights


def test_training_does_not_depend_on_what_is_only_shown(folder):
    before = read(folder).training_model("net", "one")
    other = folder / "again"
    other.mkdir()
    for name in ("datasets/one", "datasets/two", "experiments/trial"):
        write(other, name, yaml.safe_load((folder / f"{name}.yaml").read_text()))
    write(other, "models/net", {**MODEL, "title": "A nicer name", "published": None})
    assert read(other).training_model("net", "one") == before
    assert read(other).model("net", "one") != read(folder).model("net", "one")


def test_local_root_by_config_environment_or_default(folder, monkeypatch):
    monkeypatch.delenv("MEDDIFF_ROOT_ONE", raising=False)
    assert read(folder).places.root("one") == "data/one/local"
    monkeypatch.setenv("MEDDIFF_ROOT_ONE", "/from/environment")
    assert read(folder).places.root("one") == "/from/environment"
    assert read(folder, root_one="/from/config").places.root("one") == "/from/config"


@pytest.mark.parametrize("key", ["root_three", "seed", "one"])
def test_unknown_key_on_the_command_line(folder, key):
    known = "experiment, preset, weights, official_weights, root_one, root_two, retrain, keep"
    assert (
        message(folder, **{key: "x"})
        == f"--config {key}: unknown key; known are {known}, container, prevalence"
    )


def test_decisions_about_published_models(folder):
    write(folder, "experiments/trial", {**EXPERIMENT, "seeds": [0, 1]})
    decisions = read(folder, retrain="one/net/seed0,one/net/seed1", keep="two/net/seed0").decisions
    assert decisions.of("one/net/seed0") == decisions.of("one/net/seed1") == "retrain"
    assert decisions.of("two/net/seed0") == "keep"
    assert decisions.of("two/net/seed1") == "none"
    assert read(folder, retrain="all").decisions.of("two/net/seed1") == "retrain"
    assert "expected DATASET/MODEL/seedK or 'all', got 'net'" in message(folder, keep="net")
    assert "is in both" in message(folder, keep="one/net/seed0", retrain="one/net/seed0")


def test_prevalence_of_the_file_and_of_the_command_line(folder):
    assert read(folder).prevalence == {}
    document = {
        **EXPERIMENT,
        "prevalence": {"one": {"melanoma": 0.1}, "two": {"melanoma": 0.3, "benign": 0.7}},
    }
    write(folder, "experiments/trial", document)
    of_file = {"one": {"benign": 0.9, "melanoma": 0.1}, "two": {"benign": 0.7, "melanoma": 0.3}}
    assert read(folder).prevalence == of_file
    assert list(read(folder).prevalence["two"]) == ["benign", "melanoma"]
    found = read(folder, prevalence="two/melanoma=0.02, two/benign=.98").prevalence
    assert found == {**of_file, "two": {"benign": 0.98, "melanoma": 0.02}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("three/melanoma=0.1", "there is no dataset 'three'; there are one, two"),
        ("one/glaucoma=0.1", "one: there is no class 'glaucoma'; there are benign, melanoma"),
        ("one/benign=0.5,one/melanoma=0.6", "one: shares sum to 1.1, expected 1"),
        ("one/benign=0.9999999999", "one: shares sum to 1, which leaves none for melanoma"),
        (
            "one/benign=10%",
            "expected DATASET/CLASS=SHARE with a share above 0 and below 1, got 'one/benign=10%'",
        ),
        ("one=0.1", "got 'one=0.1'"),
    ],
)
def test_a_prevalence_that_cannot_be(folder, given, said):
    assert message(folder, prevalence=given).startswith("--config prevalence: ")
    assert said in message(folder, prevalence=given)


def test_a_prevalence_needs_a_calibration(folder):
    write(folder, "experiments/trial", {**EXPERIMENT, "score": {"validation": False}})
    assert "leave out `score: {validation: false}`" in message(folder, prevalence="one/benign=0.1")


def test_root_of_a_dataset_that_is_generated(folder):
    assert message(folder, root_two="x") == "--config root_two: dataset two has no local source"


def test_a_published_row_that_there_is_not_is_named(folder):
    write(folder, "models/net", {**MODEL, "published": "unett"})
    assert read(folder).published("classification") is None  # nothing is shown, so nothing can be wrong
    write(folder, "experiments/trial", {**EXPERIMENT, "published": True})
    text = message(folder)
    assert f"{folder / 'models/net.yaml'}: published: there is no row 'unett'" in text and "unet" in text


def test_published_values_under_our_names(folder):
    assert read(folder).published("classification") is None
    write(folder, "experiments/trial", {**EXPERIMENT, "published": True})
    config = read(folder)
    assert config.published("classification") == {"one": {"net": {"accuracy": 90.0}}, "two": {}}
    assert config.published("step_ablation") == {
        "steps": [1, 3],
        "datasets": {"one": {"net": {"mean": [1, 2]}}, "two": {}},
    }


def test_rows_of_published_values_exist():
    rows = yaml.safe_load((ROOT / "published.yaml").read_text())["classification"]
    for name in names("models"):
        row = load_model(name, names("datasets")[0], "fixed", ROOT).published
        assert row is None or all(row in values for values in rows.values()), name


def test_configuration_cannot_be_changed_after_it_is_read(folder):
    with pytest.raises(ValueError, match="frozen"):
        load_dataset("one", folder).title = "Another"
