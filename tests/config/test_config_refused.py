"""What cannot be right in a file is said when the configuration is loaded, with file and key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from config_files import FILES, changed, paths_of, write_changed, write_files

from meddiff.config import Config, load_dataset, load_model, parse_model
from meddiff.errors import ConfigError

EYES, TRIAL, UNET, DIT = "datasets/eyes", "experiments/trial", "models/unet", "models/dit"
RESNET, STABLE = "models/resnet", "models/stable"
HUGE = 10**30

ARCHITECTURE = [
    (RESNET, "architecture.pretrained", True, "pretrained: not allowed"),
    (RESNET, "architecture.checkpoint_path", "/tmp/x.pth", "checkpoint_path: not allowed"),
    (RESNET, "architecture.pretrained_cfg_overlay", {"file": "x"}, "pretrained_cfg_overlay: not allowed"),
    (RESNET, "architecture.model_name", "hf-hub:someone/net", "model_name: expected a name in timm's list"),
    (RESNET, "architecture.model_name", "local-dir:/tmp/net", "model_name: expected a name in timm's list"),
    (RESNET, "architecture.model_name", 18, "model_name: expected a name"),
    (
        RESNET,
        "architecture.num_classes",
        5,
        "num_classes: is set by the workflow, from the dataset's classes",
    ),
    (UNET, "architecture.in_channels", 4, "in_channels: is set by the workflow"),
    (UNET, "architecture.block_out_channels", [8, -8], "block_out_channels[1]: expected no negative number"),
    (UNET, "architecture.layers_per_block", 0, "layers_per_block: expected at least 1"),
    (DIT, "architecture.num_layers", 10**9, "num_layers: expected at most 1000"),
    (DIT, "architecture.dropout", float("nan"), "dropout: expected a finite number"),
    (DIT, "architecture.patch_size", 3, "patch_size: must divide the network's side of 8, half the image's"),
    (DIT, "architecture.patch_size", "4", "patch_size: expected a number, got '4'"),
    (DIT, "architecture.num_layers", "four", "num_layers: expected a number, got 'four'"),
    (DIT, "architecture.num_attention_heads", True, "num_attention_heads: expected a number, got True"),
    (UNET, "architecture", {}, "encoder_hid_dim: missing"),
    (STABLE, "architecture.unet", {"in_channels": 4}, "architecture: is that of the pretrained folder"),
]
MODELS = [
    (UNET, "image_size", 17, "image_size: the Haar transform needs an even side, got 17"),
    (UNET, "image_size", -8, "image_size: Input should be greater than or equal to 8 (got -8)"),
    (UNET, "image_size", 100_000, "image_size"),
    (UNET, "schedule.logsnr_max", -20, "logsnr_max (-20.0) must be above logsnr_min (-15.0)"),
    (UNET, "schedule.logsnr_min", float("-inf"), "schedule.logsnr_min: Input should be a finite number"),
    (UNET, "schedule.image_size", 0, "schedule.image_size"),
    (UNET, "validation_steps", 50, "validation_steps: Value error, a majority of 50 votes can be a draw"),
    (UNET, "validation_steps", 10**9 + 1, "validation_steps"),
    (UNET, "label_dropout", 1, "label_dropout"),
    (UNET, "train.warmup_steps", 100, "warmup_steps (100) must end before the training, which has 100 steps"),
    (UNET, "train.steps", True, "train.steps: Input should be a valid integer (got True)"),
    (UNET, "train.steps", 100.0, "train.steps: Input should be a valid integer; write 100 (got 100.0)"),
    (UNET, "train.lr", float("nan"), "train.lr: Input should be a finite number"),
    (UNET, "train.lr", "0.1", "train.lr: Input should be a valid number (got '0.1')"),
    (UNET, "train.accumulate", 9, "accumulate (9) cannot be more than batch_size (8)"),
    (UNET, "train.augmentation", {"blur_sigma": [2, 1]}, "blur_sigma: Value error, expected 0 < low <= high"),
    (UNET, "train.augmentation", {"rotation": float("inf")}, "rotation: Input should be a finite number"),
    (UNET, "train.ema", {"beta": 1.5}, "train.ema.beta"),
    (DIT, "block_label_dropout", 7.5, "block_label_dropout: Input should be less than 1 (got 7.5)"),
    (DIT, "label_table_size", 1, "label_table_size: must be 0 or at least 2"),
    (DIT, "label_table_size", -1, "label_table_size"),
    (UNET, "adaln_zero_init", True, "adaln_zero_init: unknown key"),
    (DIT, "embedding_outside", True, "embedding_outside: unknown key"),
    (UNET, "title", "", "title: String should have at least 1 character"),
    (UNET, "title", "one\ntwo", "title: String should match"),
    (RESNET, "released", {"eyes": "a;touch pwned;b"}, "released.eyes: String should match"),
    (RESNET, "released", {"eyes": "../../../escape"}, "released.eyes: String should match"),
    (RESNET, "released", {"eyes": "a/../../escape"}, "released.eyes: String should match"),
    (RESNET, "released", {"eyes": "/absolute"}, "released.eyes: String should match"),
    (STABLE, "pretrained.name", "../x", "GeneratedPretrained.name: String should match"),
    (
        STABLE,
        "pretrained.datasets",
        ["phantom_chest"],
        "phantom_chest is not in the experiment, which has eyes",
    ),
    (STABLE, "prompts", ["one"], "prompts: expected one a class, 2, got 1"),
]
DATASETS = [
    (EYES, "image_size", -8, "image_size: Input should be greater than or equal to 8 (got -8)"),
    (EYES, "channels", True, "channels: Value error, expected a number, not true or false"),
    (EYES, "classes.0.value", "", "classes.0.value"),
    (EYES, "classes.0.name", "", "classes.0.name: String should have at least 1 character"),
    (EYES, "classes.0.name", "  ", "classes.0.name: String should have at least 1 character"),
    (EYES, "classes.1.name", "Healthy", "every name must be different"),
    (EYES, "classes.0.value", "1.0", "every value must be different"),
    (EYES, "classes.0.value", None, "give value, or values for several"),
    (EYES, "classes.0.values", [3], "give value, or values for several"),
    (EYES, "format.others", "drop", "format.table.others: Input should be 'error' or 'leave_out'"),
    (EYES, "format.where", [{"column": "age"}], "a condition has one of equal, in, not, less"),
    (EYES, "format.one_hot", {"columns": ["a"]}, "say label_column or one_hot"),
    (EYES, "format.image_dir", ["a", "../b"], "format.table.image_dir: Value error, expected a path inside"),
    (EYES, "format.columns", {"p": {"column": "file", "pattern": "x"}}, "expected one group in parentheses"),
    (
        EYES,
        "format.csv",
        "../../escape.csv",
        "format.table.csv: Value error, expected a path inside the folder",
    ),
    (EYES, "format.image_dir", "/etc", "format.table.image_dir: Value error, expected a path inside"),
    (EYES, "split.seed", -1, "split.recipe.seed"),
    (EYES, "split.seed", HUGE, "split.recipe.seed"),
    (
        EYES,
        "source",
        {"kind": "phantom", "images": 60, "difficulty": [1, 0]},
        "difficulty: expected 0 <= low",
    ),
    (EYES, "augmentation", {"fixed": {"blur_sigma": [0, 0]}}, "augmentation.fixed.blur_sigma"),
    (EYES, "sizes", {"train": -5, "valid": 1, "test": 1}, "sizes.train"),
]
EXPERIMENTS = [
    (TRIAL, "score.steps", 10**9, "score.steps: Input should be less than or equal to 100000"),
    (TRIAL, "score.steps", True, "score.steps: Input should be a valid integer (got True)"),
    (TRIAL, "seeds", [-1], "seeds.0: Input should be greater than or equal to 0"),
    (TRIAL, "seeds", [HUGE], "seeds.0: Input should be less than or equal to 4294967295"),
    (TRIAL, "score.seeds", [], "score.seeds: List should have at least 1 item"),
    (TRIAL, "score.seeds", [-1], "score.seeds.0: Input should be greater than or equal to 0"),
    (TRIAL, "score.seeds", [True], "score.seeds.0: Input should be a valid integer (got True)"),
    (TRIAL, "score.seeds", [2, 0, 2], "score.seeds: Value error, every entry must appear once"),
    (TRIAL, "evaluate.seed", -1, "evaluate.seed"),
    (TRIAL, "evaluate.seed", HUGE, "evaluate.seed"),
    (TRIAL, "evaluate.bootstrap_samples", 10**9, "evaluate.bootstrap_samples: Input should be less than"),
    (TRIAL, "evaluate.ablation_steps", [], "evaluate.ablation_steps: List should have at least 1 item"),
    (TRIAL, "evaluate.ablation_steps", [0], "evaluate.ablation_steps.0: Input should be greater than"),
    (TRIAL, "evaluate.ablation_steps", [-3], "evaluate.ablation_steps.0: Input should be greater than"),
    (
        TRIAL,
        "counterfactuals",
        {"cfg_scale": float("inf")},
        "counterfactuals.cfg_scale: Input should be a finite",
    ),
    (TRIAL, "counterfactuals", {"seed": HUGE}, "counterfactuals.seed"),
    (
        TRIAL,
        "counterfactuals",
        {"front": {"from_t": [0.5], "cfg_scale": [1e9]}},
        "front.cfg_scale: Value error",
    ),
    (
        TRIAL,
        "figures",
        {"method": {"colors": ["bluish"]}},
        "figures.method.colors: Value error, 'bluish' is no",
    ),
    (
        TRIAL,
        "figures",
        {"method": {"colors": ["#12"]}},
        "figures.method.colors: Value error, '#12' is no colour",
    ),
    (TRIAL, "figures", {"method": {"colors": ["none"]}}, "figures.method.colors: Value error, 'none' is no"),
    (TRIAL, "figures", {"method": {"width": float("inf")}}, "figures.method.width: Input should be a finite"),
    (TRIAL, "figures", {"method": {"width": 1e6}}, "figures.method.width: Input should be less than"),
    (TRIAL, "figures", {"method": {"height": 100.0, "width": 100.0, "dpi": 600}}, "pixels; make it smaller"),
    (
        TRIAL,
        "compute",
        {"save_minutes": float("nan")},
        "compute.save_minutes: Input should be a finite number",
    ),
]


def refused(folder: Path, **top: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Config({"experiment": "trial", **top}, folder)
    return str(caught.value)


def name_of(case: tuple) -> str:
    return f"{case[0]}-{case[1]}-{str(case[2])[:20]}"


def test_the_files_are_right_before_they_are_changed(tmp_path):
    config = Config({"experiment": "trial"}, write_files(tmp_path))
    assert list(config.datasets) == ["eyes"]


@pytest.mark.parametrize("case", [*ARCHITECTURE, *MODELS, *DATASETS, *EXPERIMENTS], ids=name_of)
def test_what_cannot_be_right_is_said_at_once(case, tmp_path):
    name, path, value, reason = case
    file = write_changed(tmp_path, name, path, value)
    text = refused(tmp_path)
    assert f"{file}: " in text
    assert reason in text


@pytest.mark.parametrize("color", ["#0072B2", "tab:blue", "C1", "0.5", "rebeccapurple"])
def test_colours_that_matplotlib_draws(color, tmp_path):
    write_changed(tmp_path, TRIAL, "figures.method.colors", [color])
    assert Config({"experiment": "trial"}, tmp_path).experiment.figures["method"].colors == [color]


def test_a_zero_shot_model_has_no_training_images_to_change(tmp_path):
    file = write_files(tmp_path) / f"{STABLE}.yaml"
    document = {key: value for key, value in FILES[STABLE].items() if key != "train"}
    file.write_text(yaml.safe_dump({**document, "augment": True}))
    assert f"{file}: stable_diffusion: Value error, augment: changes training images" in refused(tmp_path)


HOSTILE = [None, True, -1, HUGE, float("nan"), "a;b\x07", [[]], {1: 2}]


@pytest.mark.parametrize("name", FILES)
def test_no_value_of_any_key_ends_in_another_error(name, tmp_path):
    file = write_files(tmp_path) / f"{name}.yaml"
    answers = set()
    for path in paths_of(FILES[name]):
        for value in HOSTILE:
            file.write_text(yaml.safe_dump(changed(FILES[name], path, value)))
            load_dataset.cache_clear()
            load_model.cache_clear()
            try:
                Config({"experiment": "trial"}, tmp_path)
                answers.add("right")
            except ConfigError as error:
                assert str(file) in str(error)
                answers.add("refused")
    assert "refused" in answers


def test_weights_beside_a_hostile_configuration_are_not_built():
    """`config.yaml` of weights goes through the same classes."""
    document = changed(FILES[RESNET], "architecture.checkpoint_path", "/tmp/x.pth")
    with pytest.raises(ConfigError, match="checkpoint_path: not allowed"):
        parse_model(document)


@pytest.mark.parametrize("key", ["retrain", "keep"])
@pytest.mark.parametrize("run", ["eyes/unet/seed1", "eyes/other/seed0", "joint/unet/seed0"])
def test_decisions_about_runs_that_do_not_exist(key, run, tmp_path):
    text = refused(write_files(tmp_path), **{key: run})
    assert text.startswith(f"--config {key}: the experiment trains no {run}; its runs are eyes/unet/seed0, ")


@pytest.mark.parametrize("name", ["a" * 65, "a" * 300, "../trial", "trial\n", "Trial", "tri al", ""])
def test_names_that_are_no_names(name, tmp_path):
    assert "a name has at most 64 lower-case letters" in refused(write_files(tmp_path), experiment=name)
