"""Inference with the authors' released weights: from a folder of theirs to metrics, without training."""

from __future__ import annotations

import pickle
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from meddiff.config import load_model
from meddiff.io import read_json
from meddiff.models.kinds import build_model
from release_samples import save_diffusion, shake, with_official_names

pytestmark = pytest.mark.slow

RELEASED = {
    "small_unet": "chest-checkpoints/chest-unet-dwt",
    "small_dit": "chest-checkpoints/chest-dit-dwt",
    "small_resnet": "chest-classifier/best_checkpoint_small_resnet",
}
RESULTS = "results/smallest-official/small_chest"
METRICS = [
    *(f"{RESULTS}/{model}/seed0/votes0/metrics/majority.csv" for model in ("small_unet", "small_dit")),
    f"{RESULTS}/small_resnet/seed0/metrics/softmax.csv",
]


class Bomb:
    """Whoever unpickles one writes a file called ``opened``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.folder / "opened",))


def save_release(folder: Path, configuration: Path) -> None:
    """Small models in the authors' format, beside pickles that nothing may open."""
    for name, place in RELEASED.items():
        config = load_model(name, "small_chest", "official", configuration)
        torch.manual_seed(0)
        model = shake(build_model(config, num_classes=2, channels=1, image_size=16))
        if config.kind == "timm":
            (folder / place).mkdir(parents=True)
            save_file(with_official_names(model, "resnet"), folder / place / "model.safetensors")
        else:
            embedding = model.class_embedding.weight.detach() if config.kind == "unet" else None
            save_diffusion(folder / place, model.backbone, model.backbone, embedding)
        for pickled in ("optimizer.bin", "random_states_0.pkl", "experiment_state.pth"):
            (folder / place / pickled).write_bytes(pickle.dumps(Bomb(folder)))


@pytest.fixture(scope="module")
def project(clone):
    """The smallest experiment, whose models have released weights; nothing has run in it."""
    for name, place in RELEASED.items():
        clone.edit_yaml(f"config/models/{name}.yaml", released={"small_chest": place})
    clone.edit_yaml("config/experiments/smallest.yaml", score={"shards": 1})
    return clone


@pytest.fixture(scope="module")
def release(project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the authors would have released."""
    folder = tmp_path_factory.mktemp("theirs")
    save_release(folder / "weights", project.folder / "config")
    return folder


def with_release(folder: Path) -> list[str]:
    return ["--config", "weights=official", f"official_weights={folder}"]


@pytest.fixture(scope="module")
def imported(project, release):
    """The project after a run from released weights to metrics."""
    project.snakemake(*METRICS, *with_release(release))
    return project


def test_plan_has_no_training(project, release):
    planned = project.planned(*with_release(release))
    assert planned["import_official_weights"] == planned["fetch_official_weights"] == len(RELEASED)
    assert not {"train_model", "fetch_pretrained"} & set(planned)
    assert {"make_classification_table", "plot_uncertainty"} <= set(planned)


def test_metrics_come_from_the_released_weights(imported, release):
    for path in METRICS:
        assert "accuracy" in set(pd.read_csv(imported.folder / path)["metric"])
    assert not (imported.folder / "results/smallest").exists()
    for name, place in RELEASED.items():
        weights = imported.folder / RESULTS / name / "seed0/weights"
        run = read_json(weights / "run.json")
        assert run["released"]["release"] == place
        config = yaml.safe_load((weights / "config.yaml").read_text())
        assert config["image_size"] == 16 and config["model"]["title"] == name
    theirs = load_file(release / "weights" / RELEASED["small_unet"] / "model_1.safetensors")
    ours = load_file(imported.folder / RESULTS / "small_unet/seed0/weights/model.safetensors")
    assert torch.equal(ours["backbone.conv_in.weight"], theirs["ema_model.conv_in.weight"])
    assert not (release / "weights" / "opened").exists()


def test_chain_of_released_weights_ends_at_their_checksums(imported):
    status, text = imported.provenance(METRICS[0])
    assert status == 0, text
    assert "[convert, " in text and "[released, " in text and "[train, " not in text


def test_place_of_the_release_is_not_tracked(imported, release, tmp_path):
    moved = release.rename(tmp_path / "elsewhere")
    try:
        assert imported.planned(*METRICS, *with_release(moved)) == {}
        assert imported.planned(*METRICS, "--config", "weights=official") == {}
    finally:
        moved.rename(release)


def test_trained_and_released_weights_are_kept_apart(imported):
    assert imported.planned("weights")["train_model"] == len(RELEASED)


def test_changed_file_is_named_and_nothing_is_imported(imported, release):
    weights = imported.folder / RESULTS / "small_resnet/seed0/weights/model.safetensors"
    weights.unlink()
    source = release / "weights" / RELEASED["small_resnet"] / "model.safetensors"
    content = source.read_bytes()
    try:
        source.write_bytes(content[:-1] + b"!")
        imported.snakemake(str(weights.relative_to(imported.folder)), *with_release(release), expect=1)
    finally:
        source.write_bytes(content)
    log = (imported.folder / "logs/smallest-official/small_chest/small_resnet/seed0/import.log").read_text()
    assert f"{RELEASED['small_resnet']}/model.safetensors: expected" in log and "Traceback" not in log
    assert not weights.exists()
    imported.snakemake(str(weights.relative_to(imported.folder)), *with_release(release))


def test_model_without_released_weights_stops_the_run(project):
    text = project.snakemake("-n", "--config", "weights=official", "experiment=demo", expect=1)
    assert "the authors released no weights of tiny_resnet for phantom_chest" in text


def test_slurm_profile_runs_the_paper_without_training(clone):
    """A key on the command line does not make the profile forget its experiment."""
    planned = clone.planned("--profile", "slurm", "--config", "weights=official")
    assert not [rule for rule in planned if rule.startswith("train")]
    trained = {"resnet18", "unet", "dit_b4", "stable_diffusion_finetuned"}
    models = yaml.safe_load((clone.folder / "config/experiments/paper.yaml").read_text())["models"]
    assert trained <= set(models)
    untrained = [model for model in models if model.endswith("zero_shot")]
    assert planned["import_official_weights"] == 2 * (len(models) - len(untrained))
